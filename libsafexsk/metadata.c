/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests for offloads. The kernel reads them from the frame, right before the packet's data, when it
 * takes the descriptor; a bad one costs a descriptor that completes again and again (Linux 6.18), so none
 * may get there. What was asked for is kept beside the frame table, is checked against the packet at the
 * send, and only then written to the frame, if its owner is alone.
 *
 * A timestamp needs somebody who keeps a reference to read it; then the frame is shared at the send. The
 * bytes before the data may be in somebody's view now, so nothing is written: they must be what the
 * request says already, as they are when the reference was made after the request. While another
 * transmission of the frame is under way the kernel may be about to write to them: no request then.
 */
#include "metadata.h"

#include "frame.h"

#include <errno.h>
#include <string.h>

static struct sxsk_priv_tx_request *request_of(const struct sxsk_priv_pool *pool, struct sxsk_buf b)
{
	return &pool->tx_requests[sxsk_buf_index(b)];
}

/* Before the data at this offset, which has been found to leave the room. */
static unsigned char *metadata_at(const struct sxsk_priv_pool *pool, struct sxsk_buf b,
				  uint32_t offset)
{
	return pool->base + (size_t)sxsk_buf_index(b) * pool->chunk + offset -
	       pool->tx_metadata_len;
}

static void write_request(const struct sxsk_priv_pool *pool, struct sxsk_buf b)
{
	const struct sxsk_priv_tx_request *r = request_of(pool, b);
	/* The public flags are the kernel's. */
	const struct tx_metadata m = { .flags = r->what,
				       .request = { .csum_start = r->sum_start,
						    .csum_offset = r->sum_offset,
						    .launch_time = r->launch } };

	memcpy(metadata_at(pool, b, b.offset), &m, sizeof(m));
}

bool sxsk_priv_tx_request_written(const struct sxsk_priv_pool *pool, struct sxsk_buf b)
{
	const struct sxsk_priv_tx_request *r = request_of(pool, b);
	struct tx_metadata m;

	/* Through the kernel's mapping: when it was sent, a hardened pool has shut ours. */
	memcpy(&m, metadata_at(pool, b, b.offset) - pool->base + pool->kernel_base, sizeof(m));
	return m.flags == r->what && m.request.csum_start == r->sum_start &&
	       m.request.csum_offset == r->sum_offset && m.request.launch_time == r->launch;
}

/* ---- asking ------------------------------------------------------------------------------------------- */

/* The request of a Buf that is its caller's alone; NULL and *ret_err otherwise. */
static struct sxsk_priv_tx_request *ask(struct sxsk_buf *b, int *ret_err, const char *function)
{
	struct sxsk_priv_tx_request *r;
	struct sxsk_priv_pool *pool;

	*ret_err = -EINVAL;
	if (sxsk_buf_is_null(*b)) {
		(void)sxsk_priv_fail(EINVAL, "%s: null handle", function);
		return NULL;
	}
	if (!sxsk_priv_unique(*b) || !sxsk_priv_in_chunk(*b)) {
		sxsk_priv_misuse_buf(*b, function);
		return NULL;
	}
	pool = pool_of_buf(*b);
	if (pool->tx_metadata_len == 0) {
		*ret_err = sxsk_priv_fail(
			EOPNOTSUPP,
			"%s: pool \"%s\" was made without tx_metadata_len: %u bytes or more",
			function, pool->name, SXSK_TX_METADATA_LEN);
		return NULL;
	}
	if (b->offset < pool->tx_metadata_len) {
		*ret_err = sxsk_priv_fail(EMSGSIZE,
					  "%s: %u bytes before the data, the request takes %u",
					  function, b->offset, pool->tx_metadata_len);
		return NULL;
	}
	r = request_of(pool, *b);
	if (!(b->flags & SXSK_BUF_TX_METADATA) || r->offset != b->offset)
		*r = (struct sxsk_priv_tx_request){ .offset = b->offset };
	store_relaxed(&r->sent, 0);
	*ret_err = 0;
	return r;
}

static int asked(struct sxsk_buf *b, struct sxsk_priv_tx_request *r, uint32_t what)
{
	r->what |= what;
	b->flags |= SXSK_BUF_TX_METADATA;
	write_request(pool_of_buf(*b), *b);
	return 0;
}

int sxsk_buf_tx_checksum(struct sxsk_buf *b, uint32_t start, uint32_t offset)
{
	struct sxsk_priv_tx_request *r;
	int err;

	r = ask(b, &err, "sxsk_buf_tx_checksum");
	if (!r)
		return err;
	if (start > b->length || offset > b->length || start + offset + 2 > b->length)
		return sxsk_priv_fail(
			EINVAL, "sxsk_buf_tx_checksum: a sum at %u + %u lies beyond the %u bytes",
			start, offset, b->length);
	r->sum_start = (uint16_t)start;
	r->sum_offset = (uint16_t)offset;
	return asked(b, r, SXSK_METADATA_TX_CHECKSUM);
}

int sxsk_buf_tx_timestamp(struct sxsk_buf *b)
{
	struct sxsk_priv_tx_request *r;
	int err;

	r = ask(b, &err, "sxsk_buf_tx_timestamp");
	return r ? asked(b, r, SXSK_METADATA_TX_TIMESTAMP) : err;
}

int sxsk_buf_tx_launch(struct sxsk_buf *b, uint64_t ns)
{
	struct sxsk_priv_tx_request *r;
	int err;

	r = ask(b, &err, "sxsk_buf_tx_launch");
	if (!r)
		return err;
	r->launch = ns;
	return asked(b, r, SXSK_METADATA_TX_LAUNCH);
}

int sxsk_buf_tx_time(struct sxsk_buf b, uint64_t *ret_ns)
{
	const struct sxsk_priv_pool *pool = pool_of_buf(b);
	struct tx_metadata m;

	if (sxsk_buf_is_null(b))
		return sxsk_priv_fail(EINVAL, "sxsk_buf_tx_time: null handle");
	if (!sxsk_priv_live(b) || !sxsk_priv_in_chunk(b)) {
		sxsk_priv_misuse_buf(b, "sxsk_buf_tx_time");
		return -EINVAL;
	}
	/* The flag is the caller's to set, or came with a copy from another pool. */
	if (!(b.flags & SXSK_BUF_TX_METADATA) || pool->tx_metadata_len == 0 ||
	    !load_relaxed(&request_of(pool, b)->sent))
		return sxsk_priv_fail(
			ENODATA, "sxsk_buf_tx_time: the packet was not sent with a request for it");
	/* Acquire, in here: the kernel writes the time before the completion, which takes the transmission
	 * off the word. */
	if (FRAME_TX_OF(frame_word(pool, sxsk_buf_index(b))) > 0)
		return -EAGAIN;
	/* Where it was sent from: this handle's view may be another one by now. */
	memcpy(&m, metadata_at(pool, b, request_of(pool, b)->offset), sizeof(m));
	*ret_ns = m.completion.tx_timestamp;
	return 0;
}

void sxsk_priv_tx_request_copy(struct sxsk_buf from, struct sxsk_buf to)
{
	const struct sxsk_priv_pool *in = pool_of_buf(from), *out = pool_of_buf(to);
	struct sxsk_priv_tx_request *r;

	if (out->tx_metadata_len == 0)
		return;
	r = request_of(out, to);
	/* What the frame's last packet asked for is none of this one's. */
	*r = (struct sxsk_priv_tx_request){ 0 };
	if (in->tx_metadata_len == 0 || request_of(in, from)->offset != from.offset ||
	    to.offset < out->tx_metadata_len)
		return;
	r->launch = request_of(in, from)->launch;
	r->what = request_of(in, from)->what;
	r->sum_start = request_of(in, from)->sum_start;
	r->sum_offset = request_of(in, from)->sum_offset;
	r->offset = to.offset;
}

/* ---- sending ------------------------------------------------------------------------------------------ */

bool sxsk_priv_tx_request_ready(struct sxsk_priv_socket *s, struct sxsk_buf b)
{
	const struct sxsk_priv_pool *pool = s->pool;
	struct sxsk_priv_tx_request *r;

	if (pool->tx_metadata_len == 0 || b.offset < pool->tx_metadata_len)
		return false;
	r = request_of(pool, b);
	if (r->offset != b.offset || r->what == 0 || (r->what & ~s->metadata) ||
	    (r->what & SXSK_METADATA_TX_CHECKSUM &&
	     (uint32_t)r->sum_start + r->sum_offset + 2 > b.length))
		return false;
	if (sxsk_priv_unique(b))
		write_request(pool, b);
	else if (FRAME_TX_OF(frame_word(pool, sxsk_buf_index(b))) > 0 ||
		 !sxsk_priv_tx_request_written(pool, b))
		return false;
	return true;
}

void sxsk_priv_tx_request_sent(const struct sxsk_priv_pool *pool, struct sxsk_buf b)
{
	struct sxsk_priv_tx_request *r = request_of(pool, b);

	if (r->what & SXSK_METADATA_TX_TIMESTAMP)
		store_relaxed(&r->sent, 1);
}

/* ---- options ----------------------------------------------------------------------------------------- */

int sxsk_priv_metadata_options(struct sxsk_socket_opts *o)
{
	const uint32_t rx = o->metadata & METADATA_RX;

	if (o->metadata & ~(uint32_t)(METADATA_TX | METADATA_RX))
		return sxsk_priv_fail(EINVAL, "metadata is 0x%x: no such request", o->metadata);
	if (o->metadata & METADATA_TX && o->flags & SXSK_SOCKET_NO_TX)
		return sxsk_priv_fail(EINVAL, "metadata of packets to send, and NO_TX");
	if (rx && o->flags & SXSK_SOCKET_NO_RX)
		return sxsk_priv_fail(EINVAL, "metadata of packets to receive, and NO_RX");
	if (rx && o->steer == SXSK_STEER_NONE && !o->prog && !o->map_fd)
		return sxsk_priv_fail(
			EINVAL,
			"metadata of packets to receive comes from an XDP program: open with "
			"SXSK_STEER_ALL, prog or map_fd");
	if (rx && o->attach == SXSK_ATTACH_SKB)
		return sxsk_priv_fail(EINVAL,
				      "metadata of packets to receive takes a native program: open "
				      "with SXSK_ATTACH_AUTO or SXSK_ATTACH_NATIVE");
	if (rx)
		o->flags |= SOCKET_RX_METADATA;
	return 0;
}
