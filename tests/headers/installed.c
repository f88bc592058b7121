/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a user has is the installed headers and library. This program compiles as C11 and as C++17,
 * sends a packet through a mem: cable, keeps the received Buf while sockets and pool go away, reads
 * it, and finds the packet memory unmapped after the unref.
 */
#include <inttypes.h>
#include <safexsk/mem.h>
#include <safexsk/safexsk.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PACKET_BYTES 60u

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, sxsk_last_error());
	exit(1);
}

/* Is this address in one of the process's mappings? */
static bool mapped(uintptr_t address)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	uintptr_t from, to;
	char line[512];
	bool found = false;

	if (!maps)
		die("/proc/self/maps");
	while (!found && fgets(line, sizeof(line), maps))
		found = sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &from, &to) == 2 &&
			address >= from && address < to;
	fclose(maps);
	return found;
}

static void send_packet(struct sxsk_pool *pool, struct sxsk_socket *from)
{
	struct sxsk_buf b;
	void *data;

	if (sxsk_pool_alloc(pool, &b, 1) != 1 || sxsk_buf_put(&b, PACKET_BYTES) < 0)
		die("alloc");
	data = sxsk_buf_data_mut(b);
	if (!data)
		die("data_mut");
	memset(data, 0x5a, PACKET_BYTES);
	if (sxsk_tx_burst(from, &b, 1) != 1)
		die("tx_burst");
}

static struct sxsk_buf receive_packet(struct sxsk_socket *at)
{
	struct sxsk_buf b;

	if (sxsk_socket_wait(at, SXSK_WAIT_RX, 5000) <= 0 || sxsk_rx_burst(at, &b, 1) != 1)
		die("receive");
	return b;
}

int main(void)
{
	struct sxsk_pool *pool;
	struct sxsk_socket *a, *b;
	struct sxsk_buf kept;
	const unsigned char *data;
	uintptr_t address;

	if (sxsk_pool_create(&pool, NULL) < 0)
		die("pool");
	if (sxsk_socket_open(&a, pool, "mem:installed", 0, NULL) < 0 ||
	    sxsk_socket_open(&b, pool, "mem:installed", 0, NULL) < 0)
		die("open");
	send_packet(pool, a);
	kept = receive_packet(b);
	sxsk_socket_close(a);
	sxsk_socket_close(b);
	sxsk_pool_unref(pool);

	data = (const unsigned char *)sxsk_buf_data(kept);
	if (!data || sxsk_buf_len(kept) != PACKET_BYTES || data[0] != 0x5a ||
	    data[PACKET_BYTES - 1] != 0x5a)
		die("the packet changed");
	address = (uintptr_t)data;
	if (!mapped(address))
		die("the packet memory is not in /proc/self/maps while a Buf is held");
	sxsk_buf_unref(&kept);
	if (mapped(address))
		die("the packet memory is still mapped after the last unref");
	puts("kept a Buf past its sockets and pool");
	return 0;
}
