/* SPDX-License-Identifier: BSD-2-Clause */
/* Bufs beyond the inline accessors: references, copies, user areas. */
#include "frame.h"
#include "metadata.h"

#include <errno.h>
#include <string.h>

struct sxsk_buf sxsk_buf_ref(struct sxsk_buf b)
{
	const struct sxsk_buf null = { 0 };

	if (sxsk_buf_is_null(b))
		return null;
	if (sxsk_buf_index(b) >= sxsk_priv_views->count[b.pool]) {
		sxsk_priv_misuse_buf(b, "sxsk_buf_ref");
		return null;
	}
	return sxsk_priv_frame_ref(pool_of_buf(b), b) ? b : null;
}

int sxsk_buf_copy(struct sxsk_pool *to, struct sxsk_buf b, struct sxsk_buf *ret_copy)
{
	const void *from = sxsk_buf_data(b);
	struct sxsk_priv_pool *pool;
	struct sxsk_buf copy;

	*ret_copy = (struct sxsk_buf){ 0 };
	if (!from)
		return sxsk_buf_is_null(b) ? sxsk_priv_fail(EINVAL, "sxsk_buf_copy: null handle") :
					     -EINVAL;
	pool = sxsk_priv_pool_of(to, "sxsk_buf_copy");
	if (!pool)
		return -EINVAL;
	if (b.length > pool->chunk)
		return sxsk_priv_fail(EMSGSIZE, "%u bytes do not fit frames of %u", b.length,
				      pool->chunk);
	if (sxsk_pool_alloc(to, &copy, 1) == 0)
		return sxsk_priv_fail(ENOBUFS, "pool \"%s\" has no free frame", pool->name);
	/* The same headroom where it fits, else what leaves the bytes room. */
	copy.offset = (uint16_t)((uint32_t)b.offset + b.length <= pool->chunk ?
					 b.offset :
					 pool->chunk - b.length);
	copy.length = b.length;
	copy.flags = (uint16_t)(b.flags & ~SXSK_BUF_RX_METADATA); /* lies before the original */
	memcpy(sxsk_buf_data_mut(copy), from, b.length);
	if (copy.flags & SXSK_BUF_TX_METADATA)
		sxsk_priv_tx_request_copy(b, copy);
	*ret_copy = copy;
	return 0;
}

int sxsk_buf_unshare(struct sxsk_buf *b)
{
	struct sxsk_buf copy;
	int err;

	if (sxsk_buf_is_null(*b))
		return sxsk_priv_fail(EINVAL, "sxsk_buf_unshare: null handle");
	if (sxsk_priv_unique(*b))
		return 0;
	err = sxsk_buf_copy(sxsk_buf_pool(*b), *b, &copy);
	if (err)
		return err;
	sxsk_buf_unref(b);
	*b = copy;
	return 0;
}

static void *user_area(struct sxsk_buf b, bool sound, const char *function)
{
	const struct sxsk_priv_pool *pool = pool_of_buf(b);

	if (sxsk_buf_is_null(b))
		return NULL;
	if (!sound) {
		sxsk_priv_misuse_buf(b, function);
		return NULL;
	}
	return pool->user ? pool->user + (size_t)sxsk_buf_index(b) * pool->user_size : NULL;
}

const void *sxsk_buf_user(struct sxsk_buf b)
{
	return user_area(b, sxsk_priv_live(b), "sxsk_buf_user");
}

void *sxsk_buf_user_mut(struct sxsk_buf b)
{
	return user_area(b, sxsk_priv_unique(b), "sxsk_buf_user_mut");
}
