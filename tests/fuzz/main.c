/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inputs without libFuzzer:
 *
 *    fuzz [--seed S] [--operations N] [--input I] [FILE|DIRECTORY...]
 *
 * replays the files, and those in the directories, then makes inputs until so many calls were made (by default none with files, a
 * million without). The same seed, the same inputs; after a failure, --seed S --input I is the one alone.
 */
#include "fuzz.h"

#include <dirent.h>
#include <getopt.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define INPUT_MOST 16384u

static uint64_t seed, input;
static const char *file;

/* The sanitizers' report comes first. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void which(void)
{
	if (file)
		(void)fprintf(stderr, "fuzz: the input is %s\n", file);
	else
		(void)fprintf(stderr, "fuzz: again with --seed %llu --input %llu\n",
			      (unsigned long long)seed, (unsigned long long)input);
}

static void failed(int signal)
{
	which();
	(void)raise(signal); /* for good: the handler is gone */
}

/* splitmix64, Vigna 2015 */
static uint64_t next(uint64_t *x)
{
	uint64_t z = *x += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static void run_input(uint64_t number)
{
	static uint8_t data[INPUT_MOST];
	uint64_t x = seed ^ number * 0xd1342543de82ef95ull;
	size_t size = 64 + next(&x) % (number % 4 ? 2048 : INPUT_MOST - 64);

	for (size_t i = 0; i < size; i += 8) {
		uint64_t r = next(&x);

		memcpy(data + i, &r, size - i < 8 ? size - i : 8);
	}
	input = number;
	(void)LLVMFuzzerTestOneInput(data, size);
}

static int run_file(const char *path)
{
	static uint8_t data[1u << 20];
	FILE *f = fopen(path, "rb");
	size_t size;

	if (!f) {
		perror(path);
		return 1;
	}
	size = fread(data, 1, sizeof(data), f);
	(void)fclose(f);
	file = path;
	(void)LLVMFuzzerTestOneInput(data, size);
	file = NULL;
	return 0;
}

static unsigned replayed;

static int replay(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;
	char name[1024];
	int bad = 0;

	if (!dir) {
		replayed++;
		return run_file(path);
	}
	while ((e = readdir(dir)) != NULL)
		if (e->d_name[0] != '.') {
			(void)snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
			bad |= run_file(name);
			replayed++;
		}
	(void)closedir(dir);
	return bad;
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "seed", required_argument, NULL, 's' },
						 { "operations", required_argument, NULL, 'n' },
						 { "input", required_argument, NULL, 'i' },
						 { 0 } };
	struct sigaction action = { .sa_handler = failed, .sa_flags = (int)SA_RESETHAND };
	unsigned long long operations = 1000000, only = 0, number = 0;
	bool one = false, asked = false;
	int o, bad = 0;

	seed = (uint64_t)time(NULL);
	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (o) {
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			operations = strtoull(optarg, NULL, 0);
			asked = true;
			break;
		case 'i':
			only = strtoull(optarg, NULL, 0);
			one = true;
			break;
		default:
			(void)fprintf(
				stderr,
				"usage: fuzz [--seed S] [--operations N] [--input I] [FILE|DIRECTORY...]\n");
			return 1;
		}
	(void)sigaction(SIGABRT, &action, NULL);
	if (__sanitizer_set_death_callback) {
		__sanitizer_set_death_callback(which);
	} else {
		(void)sigaction(SIGSEGV, &action, NULL);
		(void)sigaction(SIGBUS, &action, NULL);
	}
	for (; optind < argc; optind++)
		bad |= replay(argv[optind]);
	if (one)
		run_input(only);
	else if (asked || replayed == 0)
		while (fuzz_operations < operations)
			run_input(number++);
	(void)printf("seed %llu: %u files, %llu inputs, %llu calls\n", (unsigned long long)seed,
		     replayed, number, (unsigned long long)fuzz_operations);
	return bad;
}
