/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program of the user's own, from an object file. What libbpf has to say about it, the verifier's log
 * included, goes where the application's libbpf_set_print() sends it; our sentence says the rest.
 */
#include "prog_inner.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MAPS_MAX 64 /* that a program uses */

/* The one with this name; NULL for a name: the only one. */
static int find_program(const struct bpf_object *object, const struct sxsk_prog_opts *o,
			struct bpf_program **ret_program)
{
	struct bpf_program *p, *found = NULL;
	unsigned n = 0;

	bpf_object__for_each_program(p, object)
	{
		if (o->program && strcmp(bpf_program__name(p), o->program) != 0)
			continue;
		found = p;
		n++;
	}
	if (!n && o->program)
		return sxsk_priv_fail(ENOENT, "%s has no program %s", o->object, o->program);
	if (n != 1)
		return sxsk_priv_fail(EINVAL, "%s has %u programs: say which in `program`",
				      o->object, n);
	*ret_program = found;
	return 0;
}

static int find_map(const struct bpf_object *object, const struct sxsk_prog_opts *o,
		    struct bpf_map **ret_map)
{
	struct bpf_map *m, *found = NULL;
	unsigned n = 0;

	bpf_object__for_each_map(m, object)
	{
		if (o->map ? strcmp(bpf_map__name(m), o->map) != 0 :
			     bpf_map__type(m) != BPF_MAP_TYPE_XSKMAP)
			continue;
		found = m;
		n++;
	}
	if (!n && o->map)
		return sxsk_priv_fail(ENOENT, "%s has no map %s", o->object, o->map);
	if (n != 1)
		return sxsk_priv_fail(EINVAL, "%s has %u XSKMAPs: say which in `map`", o->object,
				      n);
	if (bpf_map__type(found) != BPF_MAP_TYPE_XSKMAP)
		return sxsk_priv_fail(EINVAL, "map %s of %s is no XSKMAP", o->map, o->object);
	*ret_map = found;
	return 0;
}

static int prepare(struct bpf_object *object, struct bpf_program *program,
		   const struct sxsk_prog_opts *o)
{
	struct bpf_program *p;

	bpf_object__for_each_program(p, object)(void) bpf_program__set_autoload(p, p == program);
	/* A section that says nothing is as good as "xdp". */
	if (bpf_program__type(program) == BPF_PROG_TYPE_UNSPEC)
		(void)bpf_program__set_type(program, BPF_PROG_TYPE_XDP);
	if (bpf_program__type(program) != BPF_PROG_TYPE_XDP)
		return sxsk_priv_fail(EINVAL, "program %s of %s is no XDP program (section \"%s\")",
				      bpf_program__name(program), o->object,
				      bpf_program__section_name(program));
	return 0;
}

/* A map that the program does not look into would be one that nothing comes through. */
static int check_used(int prog_fd, int map_fd, const char *name, const struct sxsk_prog_opts *o)
{
	uint32_t maps[MAPS_MAX];
	struct bpf_prog_info info = { .nr_map_ids = MAPS_MAX, .map_ids = (uintptr_t)maps };
	struct bpf_map_info map = { 0 };
	uint32_t len = sizeof(info), map_len = sizeof(map);

	if (bpf_obj_get_info_by_fd(prog_fd, &info, &len) ||
	    bpf_obj_get_info_by_fd(map_fd, &map, &map_len))
		return 0; /* then nobody can say */
	for (uint32_t i = 0; i < info.nr_map_ids && i < MAPS_MAX; i++)
		if (maps[i] == map.id)
			return 0;
	return sxsk_priv_fail(EINVAL, "program %s of %s does not use the map %s", info.name,
			      o->object, name);
}

/* What lasts are the descriptors; the object goes. */
static int take(struct sxsk_priv_prog *prog, const struct bpf_program *program,
		const struct bpf_map *map, const struct sxsk_prog_opts *o)
{
	prog->prog_fd = fcntl(bpf_program__fd(program), F_DUPFD_CLOEXEC, 0);
	prog->map_fd = fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 0);
	if (prog->prog_fd < 0 || prog->map_fd < 0)
		return sxsk_priv_fail(errno, "no descriptor for a program and its map: %s",
				      strerror(errno));
	return check_used(prog->prog_fd, prog->map_fd, bpf_map__name(map), o);
}

static int load(struct sxsk_priv_prog *prog, struct bpf_object *object,
		const struct sxsk_prog_opts *o)
{
	struct bpf_program *program = NULL;
	struct bpf_map *map = NULL;
	int err = find_program(object, o, &program);

	if (!err)
		err = find_map(object, o, &map);
	if (!err)
		err = prepare(object, program, o);
	if (err)
		return err;
	err = bpf_object__load(object);
	if (err == -EPERM)
		return sxsk_priv_load_error(EPERM, "load the XDP program");
	if (err)
		return sxsk_priv_fail(-err,
				      "the kernel refuses program %s of %s: %s (libbpf prints why)",
				      bpf_program__name(program), o->object, strerror(-err));
	return take(prog, program, map, o);
}

int sxsk_priv_object_load(struct sxsk_priv_prog *prog, const struct sxsk_prog_opts *o)
{
	struct bpf_object *object;
	int err;

	if (access(o->object, R_OK))
		return sxsk_priv_fail(errno, "cannot read the object file %s: %s", o->object,
				      strerror(errno));
	object = bpf_object__open_file(o->object, NULL);
	if (!object)
		return sxsk_priv_fail(
			errno == ENOMEM ? ENOMEM : EINVAL,
			"%s is no BPF object file (clang -target bpf -g -O2 makes one)", o->object);
	err = load(prog, object, o);
	bpf_object__close(object);
	return err;
}
