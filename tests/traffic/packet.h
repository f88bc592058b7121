/* SPDX-License-Identifier: BSD-2-Clause */
/* Packet sockets (AF_PACKET) for the traffic tools: frames in and out of an interface byte for byte,
 * VLAN tags included, which the kernel takes out of received frames. No AF_XDP here: what checks the
 * library must not depend on it. */
#ifndef SXSK_TRAFFIC_PACKET_H
#define SXSK_TRAFFIC_PACKET_H

#include <stdbool.h>
#include <stdint.h>

#define FRAME_MAX 9216u /* bytes */
#define TAG_LEN 4u
#define BURST 64u

/* One frame, from the destination MAC on, without checksum. */
struct frame {
	uint32_t len;
	unsigned char *data;                     /* in room */
	unsigned char room[TAG_LEN + FRAME_MAX]; /* a tag that was taken out is put back in front */
};

/* One interface: what arrives there, what is sent out there. */
struct end {
	const char *spec; /* as the user wrote it: IF, or NETNS/IF */
	int fd;
};

/* All print a sentence on stderr when they fail. */
bool end_open(struct end *end, const char *spec);

/* Send frames in order: how many, or -errno when the first one failed (then nothing is printed). */
int end_send(struct end *end, struct frame *const frames[], unsigned n);

/* Receive what is there, at most BURST frames, without waiting: how many, or -errno. */
int end_receive(struct end *end, struct frame frames[BURST]);

/* The error means that the interface is down or gone. */
bool end_is_gone(int error);

double seconds_now(void);
void swap_macs(unsigned char *data);

/* The number that an option's value says, or the end of the program. */
uint64_t number_option(const char *option, const char *value, uint64_t min, uint64_t max);

/* Pseudo-random numbers that two programs can both make: splitmix64 (Steele, Lea, Flood 2014). */
static inline uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

#endif
