/* SPDX-License-Identifier: BSD-2-Clause */
#include "common.h"

#include <ctype.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

bool wrong(const struct program *p, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "%s: ", p->name);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	return false;
}

bool option_text(struct program *p, const struct option *o, char *text)
{
	(void)p;
	*(const char **)o->value = text;
	return true;
}

bool option_number(struct program *p, const struct option *o, char *text)
{
	char *rest;
	unsigned long long number = strtoull(text, &rest, 10);

	if (!isdigit((unsigned char)*text) || *rest || number < o->min || number > o->max)
		return wrong(p, "%s is '%s': give a number from %u to %u", o->name, text, o->min,
			     o->max);
	*(uint32_t *)o->value = (uint32_t)number;
	return true;
}

bool option_set(struct program *p, const struct option *o, char *text)
{
	uint32_t *value = o->value;

	(void)text;
	if (*value != 0 && *value != o->min)
		return wrong(p, "%s contradicts an option before it: use one of the two", o->name);
	*value = o->min;
	return true;
}

bool option_choice(struct program *p, const struct option *o, char *text)
{
	const char *word = o->argument;

	for (uint32_t i = 0; *word; i++) {
		size_t len = strcspn(word, "|");

		if (len == strlen(text) && strncmp(word, text, len) == 0) {
			*(uint32_t *)o->value = i;
			return true;
		}
		word += len + (word[len] == '|');
	}
	return wrong(p, "%s is '%s': use %s", o->name, text, o->help);
}

bool option_cpu(struct program *p, const struct option *o, char *text)
{
	char *rest;
	unsigned long cpu = strtoul(text, &rest, 10);
	cpu_set_t allowed;

	if (!isdigit((unsigned char)*text) || *rest != '\0')
		return wrong(p, "%s: '%s' is no CPU: give its number", o->name, text);
	if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0 || cpu >= CPU_SETSIZE ||
	    !CPU_ISSET(cpu, &allowed))
		return wrong(p, "%s: CPU %lu is not there, or not for this process", o->name, cpu);
	if (!o->value && p->cpu_count == MAX_LINKS)
		return wrong(p, "%s: at most %d CPUs", o->name, MAX_LINKS);
	*(o->value ? (uint32_t *)o->value : &p->cpus[p->cpu_count++]) = (uint32_t)cpu + 1;
	return true;
}

/* The last ":digits" is the queue, since mem:NAME has a colon too. Cuts it off in place. */
bool option_link(struct program *p, const struct option *o, char *text)
{
	char *colon = strrchr(text, ':');
	struct link *link = &p->links[p->link_count];
	const struct option queue = { .name = o->name, .value = &link->queue, .max = 65535 };

	if (p->link_count == MAX_LINKS)
		return wrong(p, "%s: at most %d links", o->name, MAX_LINKS);
	if (colon && colon[1] != '\0' && colon[1 + strspn(colon + 1, "0123456789")] == '\0') {
		*colon = '\0';
		if (!option_number(p, &queue, colon + 1))
			return false;
	}
	link->name = text;
	p->link_count++;
	return true;
}

bool option_pass_to(struct program *p, const struct option *o, char *text)
{
	p->link_count = 1;
	p->links_per_thread = 2;
	return option_link(p, o, text);
}

void options_help(const struct program *p, const struct option *o)
{
	printf("usage: %s OPTION...\n", p->name);
	for (; o->name; o++)
		printf("  %-15s %-15s %s\n", o->name, o->argument ? o->argument : "", o->help);
	printf("example: %s %s\n"
	       "An interface mem:NAME needs no root: it is in the program, and so is who sends there.\n"
	       "Exit status: 0 = ended as asked and every frame accounted for, 1 = anything else.\n",
	       p->name, p->example);
}

bool options_parse(struct program *p, const struct option options[], char **argv)
{
	const struct option *o;
	bool words = false; /* after "--" */

	while (*argv) {
		char *name = *argv++;
		bool word = words || name[0] != '-' || name[1] == '\0';

		if (!word && strcmp(name, "--") == 0) {
			words = true;
			continue;
		}
		/* Words go to the row without dashes, if there is one. */
		for (o = options; o->name; o++)
			if (word ? *o->name != '-' : strcmp(o->name, name) == 0)
				break;
		if (!o->name)
			return wrong(p, "there is no option '%s': see --help", name);
		if (!word && o->argument && !*argv)
			return wrong(p, "%s needs a value: see --help", name);
		if (!o->parse(p, o, word ? name : o->argument ? *argv++ : NULL))
			return false;
	}
	/* Names have no defaults. */
	for (o = options; o->name; o++)
		if (o->parse == option_text && o->min && !*(const char **)o->value)
			return wrong(p, "which interface? Give %s", o->name);
	return p->link_count > 0 || wrong(p, "which interface? Give %s", options->name);
}
