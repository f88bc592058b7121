/* SPDX-License-Identifier: BSD-2-Clause */
/* Sentences for errors, and what happens on misuse. */
#include "support.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- sentences --------------------------------------------------------------------------------------- */

static void *fail_there(void *arg)
{
	struct sxsk_pool_opts o = { .sz = sizeof(o), .frame_size = 5 };
	struct sxsk_pool *pool;

	(void)arg;
	if (strcmp(sxsk_last_error(), "") != 0 || sxsk_pool_create(&pool, &o) != -EINVAL)
		return NULL;
	return strstr(sxsk_last_error(), "frame_size is 5") ? arg : NULL;
}

Test(error, sentence_is_the_threads_own)
{
	struct sxsk_pool_opts o = { .sz = sizeof(o), .frame_count = 3 };
	struct sxsk_pool *pool;

	cr_assert_str_eq(sxsk_last_error(), "", "nothing has failed yet");
	cr_assert_eq(sxsk_pool_create(&pool, &o), -EINVAL);
	cr_assert_eq(in_thread(fail_there, &o), &o);
	cr_assert(strstr(sxsk_last_error(), "frame_count is 3"), "%s", sxsk_last_error());
}

Test(error, sentence_stays_until_the_next_failure)
{
	struct sxsk_pool_opts o = { .sz = sizeof(o), .frame_count = 3 };
	struct sxsk_pool *pool;

	cr_assert_eq(sxsk_pool_create(&pool, &o), -EINVAL);
	pool = new_pool(64);
	sxsk_pool_unref(pool);
	cr_assert(strstr(sxsk_last_error(), "frame_count is 3"), "%s", sxsk_last_error());
}

Test(error, long_names_do_not_break_a_sentence)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_socket *socket;
	char name[2000];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	cr_assert_lt(sxsk_socket_open(&socket, pool, name, 0, NULL), 0);
	cr_assert_lt(strlen(sxsk_last_error()), 256);
	memcpy(name, "mem:", 4);
	cr_assert_eq(sxsk_socket_open(&socket, pool, name, 0, NULL), -EINVAL);
	cr_assert_lt(strlen(sxsk_last_error()), 256);
	sxsk_pool_unref(pool);
}

/* ---- misuse ------------------------------------------------------------------------------------------ */

/* What a process writes on stderr and how it ends that unrefs twice. */
static int misuse_in_child(const char *name, char text[1024])
{
	int fd[2], status;
	size_t n = 0;
	ssize_t got;
	pid_t child;

	cr_assert_eq(pipe(fd), 0);
	child = fork();
	cr_assert_geq(child, 0);
	if (child == 0) {
		struct sxsk_pool_opts o = { .sz = sizeof(o), .frame_count = 64, .name = name };
		struct sxsk_pool *pool;
		struct sxsk_buf b, again;

		(void)dup2(fd[1], STDERR_FILENO);
		if (sxsk_pool_create(&pool, &o) != 0 || sxsk_pool_alloc(pool, &b, 1) != 1)
			_exit(1);
		again = b;
		sxsk_buf_unref(&b);
		sxsk_buf_unref(&again);
		_exit(0);
	}
	(void)close(fd[1]);
	while ((got = read(fd[0], text + n, 1023 - n)) > 0)
		n += (size_t)got;
	text[n] = '\0';
	(void)close(fd[0]);
	cr_assert_eq(waitpid(child, &status, 0), child);
	return status;
}

Test(error, misuse_prints_a_line_and_aborts)
{
	static const char start[] = "safexsk: misuse: sxsk_buf_unref: stale handle: frame ";
	char text[1024];
	int status = misuse_in_child("blue", text);

	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "0x%x: %s", status, text);
	cr_assert_eq(strncmp(text, start, sizeof(start) - 1), 0, "%s", text);
	cr_assert(strstr(text, "of pool \"blue\""), "%s", text);
	cr_assert(strstr(text, "free, in the depot"), "where the frame is now: %s", text);
	cr_assert_eq(text[strlen(text) - 1], '\n');
}

/* To a terminal, perhaps. */
Test(error, misuse_line_has_no_byte_that_is_obeyed)
{
	char text[1024];

	(void)misuse_in_child("b\x1b[2J\nue\xff", text);
	cr_assert(strstr(text, "of pool \"b?[2J?ue?\""), "%s", text);
}

static void count_and_ask(const struct sxsk_misuse *m, void *arg)
{
	unsigned *n = arg;

	/* These two it may call. */
	if (sxsk_misuse_count() == *n + 1 && strstr(sxsk_last_error(), m->what))
		(*n)++;
}

Test(error, handler_gets_its_argument_and_the_program_goes_on)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = take(pool), stale = b;
	unsigned n = 0;

	sxsk_buf_unref(&b);
	sxsk_set_misuse_handler(count_and_ask, &n);
	for (unsigned i = 0; i < 5; i++)
		cr_assert_null(sxsk_buf_data(stale));
	cr_assert_eq(n, 5);
	cr_assert_eq(sxsk_misuse_count(), 5);
	expect_all_home(pool);
	sxsk_pool_unref(pool);
}

Test(error, null_handler_is_the_default_again, .signal = SIGABRT)
{
	count_misuse();
	cr_assert_null(sxsk_pool_ref(NULL));
	sxsk_set_misuse_handler(NULL, NULL);
	(void)!sxsk_pool_ref(NULL);
}

static void *misuse_there(void *arg)
{
	struct sxsk_buf *stale = arg;

	for (unsigned i = 0; i < 1000; i++)
		if (sxsk_buf_data(*stale))
			return NULL;
	return arg;
}

static void ignore(const struct sxsk_misuse *m, void *arg)
{
	(void)m, (void)arg;
}

Test(error, misuses_of_all_threads_are_counted)
{
	struct sxsk_pool *pool = new_pool(64);
	struct sxsk_buf b = take(pool), stale = b;
	pthread_t thread[4];
	void *ok;

	sxsk_buf_unref(&b);
	sxsk_set_misuse_handler(ignore, NULL);
	for (unsigned i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&thread[i], NULL, misuse_there, &stale), 0);
	for (unsigned i = 0; i < 4; i++) {
		cr_assert_eq(pthread_join(thread[i], &ok), 0);
		cr_assert_not_null(ok);
	}
	cr_assert_eq(sxsk_misuse_count(), 4000);
	sxsk_pool_unref(pool);
}
