/* SPDX-License-Identifier: BSD-2-Clause */
#include "common.h"

#include <ctype.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

bool option_text(const struct option *o, char *text)
{
	*(const char **)o->value = text;
	return true;
}

bool option_number(const struct option *o, char *text)
{
	char *rest;
	unsigned long long number = strtoull(text, &rest, 10);

	if (!isdigit((unsigned char)*text) || *rest || number < o->min || number > o->max)
		return wrong("%s is '%s': give a number from %u to %u", o->name, text, o->min,
			     o->max);
	*(uint32_t *)o->value = (uint32_t)number;
	return true;
}

bool option_set(const struct option *o, char *text)
{
	uint32_t *value = o->value;

	(void)text;
	if (*value != 0 && *value != o->min)
		return wrong("%s contradicts an option before it: use one of the two", o->name);
	*value = o->min;
	return true;
}

bool option_choice(const struct option *o, char *text)
{
	const char *word = o->argument;
	size_t len;

	for (uint32_t i = 0; (len = strcspn(word, "|")) > 0; i++, word += len + (word[len] == '|'))
		if (len == strlen(text) && strncmp(word, text, len) == 0) {
			*(uint32_t *)o->value = i;
			return true;
		}
	return wrong("%s is '%s': use %s", o->name, text, o->help);
}

bool option_cpu(const struct option *o, char *text)
{
	char *rest;
	unsigned long cpu = strtoul(text, &rest, 10);
	cpu_set_t allowed;

	if (!isdigit((unsigned char)*text) || *rest || cpu >= CPU_SETSIZE ||
	    sched_getaffinity(0, sizeof(allowed), &allowed) != 0 || !CPU_ISSET(cpu, &allowed))
		return wrong("%s: there is no CPU %s for this process: give another's number",
			     o->name, text);
	*(uint32_t *)o->value = (uint32_t)cpu + 1;
	return true;
}

bool option_cpus(const struct option *o, char *text)
{
	struct program *p = o->value;
	const struct option next = { .name = o->name, .value = &p->cpus[p->cpu_count] };

	if (p->cpu_count == MAX_LINKS)
		return wrong("%s: at most %d CPUs", o->name, MAX_LINKS);
	p->cpu_count++;
	return option_cpu(&next, text);
}

/* The last ":digits" is the queue; the colon of mem:NAME is none. Cuts it off in place. */
bool option_link(const struct option *o, char *text)
{
	struct program *p = o->value;
	char *colon = strrchr(strncmp(text, "mem:", 4) == 0 ? text + 4 : text, ':');
	struct link *link = &p->links[o->max ? o->max : p->link_count];
	const struct option queue = { .name = o->name, .value = &link->queue, .max = 65535 };

	if (link == p->links + MAX_LINKS)
		return wrong("%s: at most %d links", o->name, MAX_LINKS);
	link->queue = 0; /* another link may have been given before */
	if (colon && colon[1] != '\0' && colon[1 + strspn(colon + 1, "0123456789")] == '\0') {
		*colon = '\0';
		if (!option_number(&queue, colon + 1))
			return false;
	}
	link->name = text;
	p->link_count = (unsigned)(link - p->links) + 1;
	if (o->max)
		p->links_per_thread = p->link_count;
	return true;
}

static void help(const struct program *p, const struct option *o)
{
	printf("usage: %s OPTION...\n", p->name);
	for (; o->name; o++)
		printf("  %-15s %-15s %s\n", o->name, o->argument ? o->argument : "", o->help);
	printf("example: %s %s\n"
	       "An interface mem:NAME needs no root: it is in the program, and so is who sends there.\n"
	       "Exit status: 0 = ended as asked and every frame accounted for, 1 = anything else.\n",
	       p->name, p->example);
}

bool options_parse(const struct program *p, const struct option options[], char **argv)
{
	const struct option *o;
	bool words = false; /* after "--" */

	while (*argv) {
		char *name = *argv++;
		bool word = words || name[0] != '-' || name[1] == '\0';

		if (!word && strcmp(name, "--help") == 0) {
			help(p, options);
			exit(0);
		}
		if (!word && strcmp(name, "--") == 0) {
			words = true;
			continue;
		}
		/* Words go to the row without dashes, if there is one. */
		for (o = options; o->name && (word ? *o->name == '-' : strcmp(o->name, name) != 0);)
			o++;
		if (!o->name)
			return wrong("there is no option '%s': see --help", name);
		if (!word && o->argument && !*argv)
			return wrong("%s needs a value: see --help", name);
		if (!o->parse(o, word ? name : o->argument ? *argv++ : NULL))
			return false;
	}
	/* Names have no defaults. */
	for (o = options; o->name; o++)
		if (o->parse == option_text && o->min && !*(const char **)o->value)
			return wrong("which interface? Give %s", o->name);
	return p->link_count > 0 || wrong("which interface? Give %s", options->name);
}
