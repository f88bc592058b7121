/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls on handles and pools. A handle is a value here: which reference it came from does not matter. */
#include "fuzz.h"

#include "metadata.h"

/* One of the handles: mostly one that is live, now and then whatever is there. */
struct sxsk_buf *pick(void)
{
	uint32_t b = byte(), i = b % HANDLES;

	if (b >= HANDLES)
		for (uint32_t k = 0; k < HANDLES && !model_live(fw.handle[i]); k++)
			i = (i + 1) % HANDLES;
	return &fw.handle[i];
}

struct f_pool *pick_pool(struct sxsk_pool **ret_cookie)
{
	uint32_t b = byte();
	struct f_pool *p = &fw.pool[b % POOLS];

	if (b == 255) { /* dead, or NULL */
		*ret_cookie = fw.stale_pool;
		return NULL;
	}
	for (uint32_t i = 0; i < POOLS && !p->cookie; i++)
		p = &fw.pool[(b + i) % POOLS];
	*ret_cookie = p->cookie ? p->cookie : fw.stale_pool;
	return p->cookie ? p : NULL;
}

struct sxsk_buf *room_for_handle(void)
{
	for (uint32_t i = 0; i < HANDLES; i++)
		if (!model_live(fw.handle[i]))
			return &fw.handle[i];
	return NULL;
}

void keep(const struct sxsk_buf bufs[], uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct sxsk_buf *h = room_for_handle(), b = bufs[i];

		if (h) {
			*h = b;
			continue;
		}
		(void)model_unref(b);
		sxsk_buf_unref(&b);
	}
}

/* ---- pools -------------------------------------------------------------------------------------------- */

void pool_open(uint32_t slot, uint32_t kind)
{
	static const struct sxsk_pool_opts kinds[] = {
		{ .frame_count = 64 },
		{ .frame_count = 128, .frame_size = 4096, .headroom = 64, .user_size = 16 },
		{ .frame_count = 64, .frame_size = 3000, .flags = SXSK_POOL_UNALIGNED },
		{ .frame_count = 64, .tx_metadata_len = 24, .user_size = 8 },
		{ .frame_count = 128,
		  .frame_size = 2050,
		  .headroom = 2,
		  .flags = SXSK_POOL_UNALIGNED },
		{ .frame_count = 64, .frame_size = 4096, .tx_metadata_len = 32 },
	};
	struct sxsk_pool_opts o = kinds[kind % (sizeof(kinds) / sizeof(kinds[0]))];
	struct f_pool *p = &fw.pool[slot];

	if (p->cookie)
		return;
	o.sz = sizeof(o);
	memset(p, 0, sizeof(*p));
	expect(sxsk_pool_create(&p->cookie, &o) == 0, "a pool: %s", sxsk_last_error());
	p->in = &sxsk_priv_registry.pool[(uintptr_t)p->cookie & 0xffff];
	p->owners = 1;
	p->bytes = malloc(p->in->size);
	expect(p->bytes && p->in->count <= FRAMES, "a pool of %u frames", p->in->count);
	if (kind & 0x80) /* soon used up */
		for (uint32_t i = 0; i < p->in->count; i++)
			frame_become(p->in, i,
				     (FRAME_USED_UP - 3 * FRAME_GENERATION) |
					     FRAME_HOME(HOLDER_DEPOT));
	for (uint32_t i = 0; i < p->in->count; i++)
		p->frame[i].generation = frame_word(p->in, i) & ~FRAME_LOW;
}

void pool_settle(struct f_pool *p)
{
	bool lives = p->owners > 0 || p->sockets > 0;

	for (uint32_t i = 0; i < p->in->count && !lives; i++)
		lives = p->frame[i].where == HELD || p->frame[i].where == TX1 ||
			p->frame[i].where == FILLED;
	expect((load_relaxed(&p->in->cookie) == (uint64_t)(uintptr_t)p->cookie) == lives,
	       "a pool %s", lives ? "died too early" : "should be gone");
	if (lives)
		return;
	fw.stale_pool = p->cookie;
	free(p->bytes);
	p->bytes = NULL;
	p->cookie = NULL;
}

void op_pool_create(void)
{
	uint32_t b = byte();

	/* The used-up generations of a slot stay used up: a test in a thousand needs them. */
	pool_open(b % POOLS, byte() & (b < 4 ? 0xffu : 0x7fu));
}

void op_pool_ref(void)
{
	struct sxsk_pool *cookie, *got;
	struct f_pool *p = pick_pool(&cookie);
	bool lives = p && p->owners + p->sockets > 0;

	got = sxsk_pool_ref(cookie);
	expect(got == (lives ? cookie : NULL), "ref gives %p", (void *)got);
	if (lives)
		p->owners++;
	else
		fw.misuse++;
}

void op_pool_unref(void)
{
	struct sxsk_pool *cookie;
	struct f_pool *p = pick_pool(&cookie);

	sxsk_pool_unref(cookie);
	if (p && p->owners > 0)
		p->owners--;
	else
		fw.misuse += cookie != NULL;
}

static uint32_t in_depot(const struct f_pool *p)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->in->count; i++)
		n += (frame_word(p->in, i) & FRAME_LOW) == FRAME_HOME(HOLDER_DEPOT);
	return n;
}

/* What came of an allocation, told to the model. */
static void allocated(struct f_pool *p, const struct sxsk_buf bufs[], uint32_t n, uint32_t wanted)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t index = sxsk_buf_index(bufs[i]);
		struct f_frame *f = &p->frame[index < p->in->count ? index : 0];

		expect(index < p->in->count && f->where == FREE,
		       "allocated frame %u is not free (%d)", index, (int)f->where);
		expect(bufs[i].id == (f->generation | index) && bufs[i].pool == p->in->slot &&
			       bufs[i].length == 0 && bufs[i].flags == 0 &&
			       bufs[i].offset == KERNEL_HEADROOM + p->in->headroom,
		       "allocated handle {0x%llx, %u, %u, %u, %u}", (unsigned long long)bufs[i].id,
		       bufs[i].pool, bufs[i].length, bufs[i].offset, bufs[i].flags);
		model_own(p, index, NULL);
	}
	expect(n == wanted || load_relaxed(&p->in->kept) || in_depot(p) == 0,
	       "%u of %u allocated, and %u are in the depot", n, wanted, in_depot(p));
}

void op_pool_alloc(void)
{
	struct sxsk_pool *cookie;
	struct f_pool *p = pick_pool(&cookie);
	struct sxsk_buf bufs[32];
	uint32_t n = 1 + byte() % 32, got = sxsk_pool_alloc(cookie, bufs, n);

	if (!p) {
		fw.misuse++;
		expect(got == 0, "%u frames of a dead pool", got);
		return;
	}
	allocated(p, bufs, got, n);
	keep(bufs, got);
}

void op_pool_stats(void)
{
	struct sxsk_pool *cookie;
	struct f_pool *p = pick_pool(&cookie);
	struct sxsk_pool_stats st = { .sz = byte() == 255 ? 0 : sizeof(st) };

	if (p && st.sz) {
		model_totals(p);
		return;
	}
	sxsk_pool_stats(cookie, &st);
	fw.misuse += (p == NULL ? 1u : 0u) + (st.sz == 0 ? 1u : 0u);
}

void op_pool_report(void)
{
	struct sxsk_pool *cookie;
	struct f_pool *p = pick_pool(&cookie);
	int missing = sxsk_pool_report(cookie, fw.null);

	expect(missing == (p ? 0 : -EINVAL), "%d frames not accounted for", missing);
	fw.misuse += p == NULL;
}

void op_lane_attach(void)
{
	struct sxsk_pool *cookie;
	struct f_pool *p = pick_pool(&cookie);
	int err = sxsk_lane_attach(cookie), should = 0;

	if (!p)
		should = -EINVAL;
	else if (p->owners + p->sockets == 0)
		should = -ESHUTDOWN;
	expect(err == should, "a lane: %d, should be %d", err, should);
	fw.misuse += p == NULL;
}

void op_lane_flush(void)
{
	struct sxsk_pool *cookie;

	fw.misuse += pick_pool(&cookie) == NULL;
	sxsk_lane_flush(cookie);
}

void op_lane_detach(void)
{
	struct sxsk_pool *cookie;

	fw.misuse += pick_pool(&cookie) == NULL;
	sxsk_lane_detach(cookie);
}

/* ---- bytes -------------------------------------------------------------------------------------------- */

static unsigned char *at(struct sxsk_buf b)
{
	const struct f_pool *p = model_pool_of(b);

	return p ? p->in->base + (size_t)sxsk_buf_index(b) * p->in->chunk + b.offset : NULL;
}

void op_data(void)
{
	struct sxsk_buf b = *pick();
	bool sound = model_live(b) && model_in_chunk(b);
	const unsigned char *data = sxsk_buf_data(b);

	expect(data == (sound ? at(b) : NULL), "data is %p", (const void *)data);
	fw.misuse += !sound && !sxsk_buf_is_null(b);
	if (sound)
		model_bytes(model_pool_of(b), sxsk_buf_index(b));
	expect(sxsk_buf_is_shared(b) == (model_live(b) && !model_unique(b)), "is shared?");
}

/* Write what the handle shows, and a little beside the frame's model. */
static void write_data(struct sxsk_buf b, uint32_t value)
{
	bool sound = model_unique(b) && model_in_chunk(b);
	unsigned char *data = sxsk_buf_data_mut(b);
	struct f_pool *p = model_pool_of(b);

	expect(data == (sound ? at(b) : NULL), "data_mut is %p", (void *)data);
	fw.misuse += !sound && !sxsk_buf_is_null(b);
	if (!sound)
		return;
	memset(data, (int)value, b.length);
	memset(p->bytes + (data - p->in->base), (int)value, b.length);
}

void op_write(void)
{
	struct sxsk_buf *h = pick();
	uint32_t value = byte();

	if (value & 1 && model_live(*h) && model_in_chunk(*h)) {
		uint32_t len = two_bytes() % (h->length + sxsk_buf_tailroom(*h) + 1u);

		expect(sxsk_buf_trim(h, len) == 0 && h->length == len, "trim to %u", len);
	}
	write_data(*h, value);
}

void op_view(void)
{
	struct sxsk_buf *h = pick(), b = *h;
	uint32_t which = byte(), n = which & 0x80 ? byte() : two_bytes(), chunk = 0,
		 offset = b.offset, length = b.length;
	bool live = model_live(b), sound = live && model_in_chunk(b), fits;
	int err;

	if (sound)
		chunk = model_pool_of(b)->in->chunk;
	switch (which & 3) {
	case 0:
		fits = n <= offset && n <= UINT16_MAX - length;
		offset -= n;
		length += n;
		err = sxsk_buf_push(h, n);
		break;
	case 1:
		fits = n <= length;
		offset += n;
		length -= n;
		err = sxsk_buf_pull(h, n);
		break;
	case 2:
		fits = offset + length <= chunk && n <= chunk - offset - length;
		length += n;
		err = sxsk_buf_put(h, n);
		break;
	default:
		fits = offset <= chunk && n <= chunk - offset;
		length = n;
		err = sxsk_buf_trim(h, n);
	}
	if (live && !sound) { /* forged by the caller: whatever, and nothing is touched */
		fw.misuse = sxsk_misuse_count();
		*h = b;
		return;
	}
	fw.misuse += !live && !sxsk_buf_is_null(b);
	expect(err == (!live ? -EINVAL :
		       fits  ? 0 :
			       -EMSGSIZE),
	       "view %u by %u gives %d", which & 3, n, err);
	if (err)
		expect(memcmp(h, &b, sizeof(b)) == 0, "the view changed");
	else
		expect(h->offset == offset && h->length == length && h->id == b.id &&
			       h->pool == b.pool && h->flags == b.flags && model_in_chunk(*h),
		       "the view is {%u, %u}", h->offset, h->length);
}

void op_user(void)
{
	struct sxsk_buf b = *pick();
	bool mut = byte() & 1, sound = mut ? model_unique(b) : model_live(b);
	const unsigned char *area = mut ? sxsk_buf_user_mut(b) : sxsk_buf_user(b), *should = NULL;
	struct f_pool *p = model_pool_of(b);

	if (sound && p->in->user_size)
		should = p->in->user + (size_t)sxsk_buf_index(b) * p->in->user_size;
	expect(area == should, "user area %p", (const void *)area);
	fw.misuse += !sound && !sxsk_buf_is_null(b);
	if (mut && area)
		memset(p->in->user + (area - p->in->user), 0x5a, p->in->user_size);
}

/* ---- references --------------------------------------------------------------------------------------- */

void op_ref(void)
{
	struct sxsk_buf b = *pick(), got;
	struct f_frame *f = model_frame(b);
	uint32_t many = byte();

	for (many = many == 255 ? 260 : 1; many > 0; many--) {
		got = sxsk_buf_ref(b);
		if (f && f->users < SXSK_MAX_REFS) {
			expect(memcmp(&got, &b, sizeof(b)) == 0, "ref gives another handle");
			f->users++;
			if (many == 1)
				keep(&got, 1);
			continue;
		}
		expect(got.id == 0 && got.pool == 0, "ref gives a handle");
		fw.misuse += !f && !sxsk_buf_is_null(b);
	}
}

void op_unref(void)
{
	struct sxsk_buf *h = pick(), b = *h;

	(void)model_unref(b);
	if (byte() & 1) { /* through a copy: the handle stays, and is stale */
		sxsk_buf_unref(&b);
	} else {
		sxsk_buf_unref(h);
		b = *h;
	}
	expect(b.id == 0 && b.pool == 0, "unref did not null its variable");
}

void op_unref_burst(void)
{
	struct sxsk_buf bufs[40], before[40];
	uint32_t n = 1 + byte() % 40, step = byte();

	for (uint32_t i = 0; i < n; i++)
		bufs[i] = before[i] = step & 1 ? *pick() : fw.handle[(step + i) % HANDLES];
	sxsk_buf_unref_burst(bufs, n);
	for (uint32_t i = 0; i < n; i++) {
		bool sound = model_unref(before[i]);

		expect(sound || (bufs[i].id == 0 && bufs[i].pool == 0),
		       "the misused handle %u of a burst is not null", i);
	}
}

/* A copy came of it, or why not. */
static void copied(struct sxsk_buf b, struct f_pool *to, struct sxsk_pool *cookie, int err,
		   const struct sxsk_buf *copy)
{
	bool sound = model_live(b) && model_in_chunk(b);
	struct sxsk_buf fresh = *copy;

	if (!sound || !to) {
		fw.misuse += sound ? 1 : !sxsk_buf_is_null(b);
		expect(err == -EINVAL, "copy gives %d", err);
	} else if (b.length > to->in->chunk) {
		expect(err == -EMSGSIZE, "copy gives %d", err);
	} else if (err) {
		expect(err == -ENOBUFS && (in_depot(to) == 0 || load_relaxed(&to->in->kept)),
		       "copy gives %d", err);
	} else {
		uint32_t index = sxsk_buf_index(*copy);

		expect(copy->length == b.length && model_in_chunk(*copy) &&
			       memcmp(at(*copy), at(b), b.length) == 0,
		       "the copy is not the same");
		fresh.length = 0;
		fresh.offset = (uint16_t)(KERNEL_HEADROOM + to->in->headroom);
		fresh.flags = 0;
		allocated(to, &fresh, 1, 1);
		model_bytes(to, index);
	}
	expect(err == 0 || copy->pool == 0, "a copy in spite of the error %d", err);
	(void)cookie;
}

void op_copy(void)
{
	struct sxsk_pool *cookie;
	struct f_pool *to = pick_pool(&cookie);
	struct sxsk_buf b = *pick(), copy;
	int err = sxsk_buf_copy(cookie, b, &copy);

	copied(b, to, cookie, err, &copy);
	if (!err)
		keep(&copy, 1);
}

void op_unshare(void)
{
	struct sxsk_buf *h = pick(), b = *h, copy = { 0 };
	int err = sxsk_buf_unshare(h);

	if (model_unique(b)) {
		expect(err == 0 && memcmp(h, &b, sizeof(b)) == 0, "unshare of a unique Buf: %d",
		       err);
		return;
	}
	if (!err)
		copy = *h;
	copied(b, model_pool_of(b), NULL, err, &copy);
	if (!err)
		(void)model_unref(b);
}

/* ---- metadata ----------------------------------------------------------------------------------------- */

static int should_ask(struct sxsk_buf b)
{
	const struct f_pool *p = model_pool_of(b);

	if (sxsk_buf_is_null(b))
		return -EINVAL;
	if (!model_unique(b) || !model_in_chunk(b)) {
		fw.misuse++;
		return -EINVAL;
	}
	if (!p->in->tx_metadata_len)
		return -EOPNOTSUPP;
	return b.offset < p->in->tx_metadata_len ? -EMSGSIZE : 0;
}

/* From where the request was noted, whatever the handle shows. */
void read_time(struct sxsk_buf b)
{
	bool sound = model_live(b) && model_in_chunk(b);
	const struct f_pool *p = model_pool_of(b);
	uint64_t ns, there;
	int err = sxsk_buf_tx_time(b, &ns);

	fw.misuse += !sound && !sxsk_buf_is_null(b);
	expect(sound ? err == 0 || err == -EAGAIN || err == -ENODATA : err == -EINVAL,
	       "tx_time gives %d", err);
	if (err)
		return;
	memcpy(&there,
	       p->in->base + (size_t)sxsk_buf_index(b) * p->in->chunk +
		       p->in->tx_requests[sxsk_buf_index(b)].offset - p->in->tx_metadata_len + 8,
	       sizeof(there));
	expect(ns == there, "the time was read elsewhere");
}

void op_metadata(void)
{
	struct sxsk_buf *h = pick(), b = *h;
	uint32_t which = byte(), start = byte(), offset = byte();
	int err, should;

	if ((which & 3) == 3) {
		read_time(b);
		return;
	}
	should = should_ask(b);
	if ((which & 3) == 0) {
		if (should == 0 &&
		    (start > b.length || offset > b.length || start + offset + 2 > b.length))
			should = -EINVAL;
		err = sxsk_buf_tx_checksum(h, start, offset);
	} else {
		err = (which & 3) == 1 ? sxsk_buf_tx_timestamp(h) : sxsk_buf_tx_launch(h, start);
	}
	expect(err == should, "a request gives %d, should be %d", err, should);
}

/* ---- handles made by hand -------------------------------------------------------------------------------- */

void op_forge(void)
{
	struct sxsk_buf *from = pick(), b = *from, *to = room_for_handle();
	uint32_t how = byte(), x = two_bytes();

	switch (how & 7) {
	case 0:
		b.id ^= 1ull << (x & 63);
		break;
	case 1:
		b.id += ((uint64_t)(x & 0xff) - 0x80u) << 20;
		break;
	case 2:
		b.id = (b.id & ~FRAME_LOW) | (x & 0xff);
		break;
	case 3:
		b.pool = (uint16_t)x;
		break;
	case 4:
		b.offset = (uint16_t)x;
		break;
	case 5:
		b.length = (uint16_t)x;
		break;
	case 6:
		b.flags ^= (uint16_t)(x & 7);
		break;
	default:
		b.id = (b.id & ~FRAME_LOW) | ((b.id + (x << 4)) & FRAME_LOW);
	}
	/* Flags and views are the caller's to change in place; others are handles beside it. */
	if ((how & 7) == 6)
		*from = b;
	else if (to)
		*to = b;
}

void op_duplicate_handle(void)
{
	struct sxsk_buf b = *pick(), *to = room_for_handle();

	if (to)
		*to = b;
}
