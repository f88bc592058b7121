/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dump: tcpdump for AF_XDP. It shows packets, and takes them from the kernel's stack.
 *
 *   dump --link-name veth0 --write dns.pcapng udp port 53
 *
 * libpcap compiles the expression, and the library makes it part of the XDP program: it is the kernel that
 * filters. What does not match never comes here, and goes on to the stack as ever; what matches comes here,
 * and goes no further, or to the interface of --pass-to.
 *
 *      link --XDP program--> rx_burst --> a line, the capture --> unref, or tx_burst to --pass-to
 *             '-- no match --> the kernel's stack
 */
#include "common.h"

#include <errno.h>
#include <inttypes.h>
#include <pcap/pcap.h>
#include <safexsk/pcapng.h>
#include <string.h>
#include <time.h>

#define RING 16384 /* packets: for a while they may come faster than they can be printed */
#define LAST_MS 20 /* without a packet, after the program was told to take none any more */
#define SECOND 1000000000u

static struct {
	char expression[8192];
	uint32_t hex, count; /* 0: no limit */
	const char *file;
	FILE *capture; /* NULL: none */
	bool hardware; /* it has an interface for times of the card's clock */
	struct sxsk_prog *prog;
	uint64_t shown;
} dump;

/* Words are joined, as tcpdump does. */
static bool option_word(const struct option *o, char *text)
{
	const size_t n = strlen(dump.expression), room = sizeof(dump.expression) - n;

	return (size_t)snprintf(dump.expression + n, room, n ? " %s" : "%s", text) < room ||
	       wrong("the %s is longer than %zu bytes", o->name, sizeof(dump.expression));
}

/* The expression means what it means to `tcpdump -r`. */
static bool filter(void)
{
	pcap_t *ethernet = pcap_open_dead(DLT_EN10MB, 262144);
	struct bpf_program code = { 0 };
	bool ok;

	if (!ethernet || pcap_compile(ethernet, &code, dump.expression, 1, 0) != 0)
		ok = wrong("the filter '%s': %s", dump.expression,
			   ethernet ? pcap_geterr(ethernet) : "no memory");
	else
		ok = sxsk_prog_filter(dump.prog, (const void *)code.bf_insns, code.bf_len) == 0 ||
		     wrong("the filter '%s' cannot be the kernel's: %s", dump.expression,
			   sxsk_last_error());
	pcap_freecode(&code);
	if (ethernet)
		pcap_close(ethernet);
	return ok;
}

/* Before the sockets are opened: the program knows what to take before it is on the interface. */
static bool before_open(struct link *link, struct sxsk_socket_opts *opts)
{
	const struct sxsk_rule all = { .sz = sizeof(all) };
	struct program *p = link->program;

	opts->steer = SXSK_STEER_NONE;
	opts->attach = SXSK_ATTACH_AUTO; /* only a program is attached */
	opts->flags |= link == p->links ? SXSK_SOCKET_NO_TX : SXSK_SOCKET_NO_RX;
	if (link != p->links)
		return true;
	opts->rx_size = opts->fill_size = RING;
	if (strncmp(link->name, "mem:", 4) == 0)
		return !*dump.expression || wrong("%s has no kernel to filter: leave '%s' out",
						  link->name, dump.expression);
	if (p->attach == SXSK_ATTACH_AUTO || p->attach == SXSK_ATTACH_NATIVE)
		opts->metadata = SXSK_METADATA_RX_TIMESTAMP; /* where the driver has it */
	if (sxsk_prog_create(&dump.prog, NULL) != 0 || sxsk_prog_steer(dump.prog, &all, 1) != 0)
		return wrong("%s", sxsk_last_error());
	opts->prog = dump.prog;
	opts->attach = p->attach;
	return !*dump.expression || filter();
}

/* When the packet came, nanoseconds since 1970: what the card says, or now. */
static uint64_t time_of(struct sxsk_buf buf, bool *ret_hardware)
{
	struct sxsk_rx_metadata known = { 0 };
	struct timespec now;

	*ret_hardware = buf.flags & SXSK_BUF_RX_METADATA &&
			sxsk_buf_rx_metadata(buf, &known) == 0 && known.timestamp != 0;
	if (*ret_hardware)
		return known.timestamp;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

static void show(const struct link *link, const struct sxsk_buf bufs[], unsigned n)
{
	bool hardware;
	const uint64_t ns = time_of(bufs[0], &hardware);
	const time_t seconds = (time_t)(ns / SECOND);
	char clock[16];
	struct tm tm;

	(void)strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&seconds, &tm));
	printf("%s.%06u ", clock, (unsigned)(ns % SECOND / 1000));
	sxsk_packet_print(bufs, n, dump.hex, stdout);
	dump.shown++;
	if (!dump.capture)
		return;
	if (hardware && !dump.hardware)
		sxsk_pcapng_interface(dump.capture, link->name, "time by the card's clock");
	dump.hardware |= hardware;
	sxsk_pcapng_packet(dump.capture, hardware, ns, bufs, n);
}

static bool enough(void)
{
	return (dump.count && dump.shown >= dump.count) || ferror(stdout) ||
	       (dump.capture && ferror(dump.capture));
}

/* Hand packets on, or back. */
static void let_go(struct link *to, struct sxsk_buf bufs[], unsigned n)
{
	if (to)
		link_send(to, bufs, n);
	else
		sxsk_buf_unref_burst(bufs, n);
}

/* One burst. Returns whether anything came. */
static bool take(struct link *link, struct link *to)
{
	const uint64_t left = dump.count - dump.shown;
	struct sxsk_buf bufs[MAX_BATCH];
	unsigned n = link->batch, first = 0;

	if (left > 0 && left < n && !link->stats.multi_buffer)
		n = (unsigned)left; /* no more than are wanted */
	n = sxsk_rx_burst(link->socket, bufs, n);
	if (n == 0)
		return false;
	received(link, bufs[0]);
	for (unsigned i = 0; i < n && !enough(); i++)
		if (sxsk_buf_is_last(bufs[i])) {
			show(link, bufs + first, i + 1 - first);
			first = i + 1;
		}
	let_go(to, bufs, n);
	return true;
}

/* When the sockets are open: what cannot run writes over no file. */
static bool begin_capture(const struct link *link)
{
	dump.capture = fopen(dump.file, "we");
	if (!dump.capture)
		return wrong("cannot write %s: %s", dump.file, strerror(errno));
	sxsk_pcapng_begin(dump.capture);
	sxsk_pcapng_interface(dump.capture, link->name, "time by the system's clock");
	return true;
}

static void look(struct link *link)
{
	struct program *p = link->program;
	struct link *to = p->link_count > 1 ? link + 1 : NULL;
	const unsigned events[] = { SXSK_WAIT_RX, SXSK_WAIT_WAKE };
	unsigned idle = 0;

	if (dump.file && !stopping(p) && !begin_capture(link))
		p->failed = true;
	while (!stopping(p) && !enough()) {
		idle = take(link, to) ? 0 : idle + 1;
		if (to && sxsk_tx_burst(to->socket, NULL, 0) > 0) /* moves on what it took before */
			idle = 0;
		if (idle < IDLE_LOOKS)
			continue;
		if (dump.capture)
			(void)fflush(dump.capture);
		if (!links_sleep(link, events, p->link_count))
			break;
	}
	/* From here on the stack keeps its packets. Those that were taken are still shown, and go on. */
	if (!link->failed && dump.prog && sxsk_prog_steer(dump.prog, NULL, 0) == 0)
		for (unsigned quiet = 0; quiet < 2; quiet = take(link, to) ? 0 : quiet + 1)
			if (sxsk_socket_wait(link->socket, SXSK_WAIT_RX, LAST_MS) < 0)
				break; /* the first wait may end by a wake */
	link_finish(to ? to : link, NULL, 0);
}

static void account(const struct link *link, bool json)
{
	if (link == link->program->links)
		printf(json ? ", \"shown\": %" PRIu64 : "  shown: %" PRIu64 " packets\n",
		       dump.shown);
}

int main(int argc, char **argv)
{
	static struct program program = {
		.name = "dump",
		.example = "--link-name veth0 --pass-to veth1",
		.work = look,
		.before_open = before_open,
		.account = account,
		.quiet = true,
		.links_per_thread = 1,
		.link_count = 1,
	};
	struct link *link = program.links;
	const struct option options[] = {
		{ "--link-name", "IF", "interface, or mem:NAME", option_text, &link->name, 1, 0 },
		{ "--link-channel", "Q", "its queue (0)", option_number, &link->queue, 0, 65535 },
		{ "-x", NULL, "show the bytes, too", option_set, &dump.hex, 1, 0 },
		{ "--write", "FILE", "write a capture (pcapng)", option_text, &dump.file, 0, 0 },
		{ "--count", "N", "end after N packets", option_number, &dump.count, 1,
		  UINT32_MAX },
		{ "--pass-to", "IF[:Q]", "send what came on to there", option_link, &program, 0,
		  1 },
		{ "EXPRESSION", "...", "what comes, as for tcpdump (all)", option_word, NULL, 0,
		  0 },
		COMMON_OPTIONS(&program),
	};
	int status = program_run(&program, options, argc, argv);
	bool bad;

	sxsk_prog_unref(dump.prog);
	bad = dump.capture && ferror(dump.capture) != 0;
	if (dump.capture && (fclose(dump.capture) != 0 || bad))
		return !wrong("cannot write all to %s: is there room?", dump.file);
	return status;
}
