/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * raw: what C cannot revoke, a raw pointer kept after the Buf is gone, is caught at the access when the
 * program (not the library) is built with AddressSanitizer. Each row runs in a process of its own and
 * must end with a use-after-poison report; the last rows must not.
 */
#include <safexsk/mem.h>
#include <safexsk/safexsk.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sxsk_pool *pool;
static struct sxsk_socket *socket_a, *socket_b;
static volatile unsigned char sink;

static void must(int ok)
{
	if (!ok) {
		fprintf(stderr, "raw: %s\n", sxsk_last_error());
		exit(3);
	}
}

static struct sxsk_buf take(unsigned char **ret_raw)
{
	struct sxsk_buf b;

	must(sxsk_pool_alloc(pool, &b, 1) == 1 && sxsk_buf_put(&b, 64) == 0);
	*ret_raw = sxsk_buf_data_mut(b);
	memset(*ret_raw, 1, 64);
	return b;
}

static void read_after_unref(void)
{
	unsigned char *raw;
	struct sxsk_buf b = take(&raw);

	sxsk_buf_unref(&b);
	sink = raw[0];
}

static void write_after_unref(void)
{
	unsigned char *raw;
	struct sxsk_buf b = take(&raw);

	sxsk_buf_unref(&b);
	raw[63] = 2;
}

static void write_after_send(void)
{
	unsigned char *raw;
	struct sxsk_buf b = take(&raw);

	must(sxsk_tx_burst(socket_a, &b, 1) == 1);
	raw[20] = 2;
}

static void read_after_last_clone(void)
{
	unsigned char *raw;
	struct sxsk_buf b = take(&raw), c = sxsk_buf_ref(b);

	sxsk_buf_unref(&b);
	sxsk_buf_unref(&c);
	sink = raw[0];
}

static void read_neighbour(void)
{
	unsigned char *raw;
	struct sxsk_buf b = take(&raw);

	/* The next frame, or the one before, which nobody took. */
	sink = *(sxsk_buf_index(b) == 0 ? raw + 2048 : raw - 2048);
}

static void read_while_held(void)
{
	unsigned char *raw;
	struct sxsk_buf b = take(&raw), c = sxsk_buf_ref(b);

	sxsk_buf_unref(&b);
	sink = raw[0];
	sxsk_buf_unref(&c);
}

static void traffic(void)
{
	for (int i = 0; i < 100; i++) {
		struct sxsk_buf bufs[16];
		unsigned char *raw;
		unsigned n;

		bufs[0] = take(&raw);
		must(sxsk_tx_burst(socket_a, bufs, 1) == 1);
		n = sxsk_rx_burst(socket_b, bufs, 16);
		for (unsigned k = 0; k < n; k++)
			sink = *(const unsigned char *)sxsk_buf_data(bufs[k]);
		sxsk_buf_unref_burst(bufs, n);
	}
}

static const struct {
	const char *name;
	void (*run)(void);
	int caught;
} rows[] = {
	{ "read after unref", read_after_unref, 1 },
	{ "write after unref", write_after_unref, 1 },
	{ "write after send", write_after_send, 1 },
	{ "read after the last clone's unref", read_after_last_clone, 1 },
	{ "read a frame that nobody took", read_neighbour, 1 },
	{ "read while a clone is held", read_while_held, 0 },
	{ "send and receive", traffic, 0 },
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static int caught(unsigned row)
{
	char said[8192];
	int fd[2], status;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	must(pipe(fd) == 0);
	pid = fork();
	if (pid == 0) {
		char number[8];

		snprintf(number, sizeof(number), "%u", row);
		dup2(fd[1], STDERR_FILENO);
		close(fd[0]);
		unsetenv("SAFEXSK_HARDEN"); /* the default is what is tested */
		alarm(20);
		execl("/proc/self/exe", "raw", number, (char *)NULL);
		_exit(4);
	}
	close(fd[1]);
	while (len < sizeof(said) - 1 && (n = read(fd[0], said + len, sizeof(said) - 1 - len)) > 0)
		len += (size_t)n;
	said[len] = '\0';
	close(fd[0]);
	must(waitpid(pid, &status, 0) == pid);
	if (strstr(said, "use-after-poison"))
		return 1;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct sxsk_pool_opts o = { .sz = sizeof(o), .frame_count = 256, .headroom = 0 };
	unsigned failed = 0;

	if (argc == 2) {
		must(sxsk_pool_create(&pool, &o) == 0);
		must(sxsk_socket_open(&socket_a, pool, "mem:raw", 0, NULL) == 0);
		must(sxsk_socket_open(&socket_b, pool, "mem:raw", 0, NULL) == 0);
		rows[atoi(argv[1])].run();
		return 0;
	}
	for (unsigned i = 0; i < ROWS; i++) {
		int got = caught(i);

		printf("%-40s %-12s %s\n", rows[i].name, got == 1 ? "caught" : "not caught",
		       got == rows[i].caught ? "ok" : "FAIL");
		failed += got != rows[i].caught;
	}
	printf("%u passed, %u failed\n", (unsigned)ROWS - failed, failed);
	return failed != 0;
}
