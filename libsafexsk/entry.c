/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program as libxdp wants it: libxdp loads what it puts into its dispatcher itself, from a bpf_object, and
 * a bpf_object is made of an ELF file only. So here is one, in memory:
 *
 *     xdp        the instructions; maps are in them by descriptor, so there is nothing to relocate
 *     .symtab    that they are one function
 *     .BTF       and that it is int NAME(struct xdp_md *), as what it replaces in the dispatcher is
 *     .BTF.ext   where in the instructions it begins; and a line of source, lest libbpf complain
 */
#include "dispatcher.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTION "xdp"
#define LICENSE "Dual BSD/GPL"

enum { SHN_STRINGS = 1, SHN_SYMBOLS, SHN_CODE, SHN_LICENSE, SHN_TYPES, SHN_TYPES_EXT, SECTIONS };

static const struct {
	const char *name;
	uint32_t type;
	uint64_t flags;
} sections[SECTIONS] = {
	[0] = { "", SHT_NULL, 0 },
	[SHN_STRINGS] = { ".strtab", SHT_STRTAB, 0 },
	[SHN_SYMBOLS] = { ".symtab", SHT_SYMTAB, 0 },
	[SHN_CODE] = { SECTION, SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR },
	[SHN_LICENSE] = { "license", SHT_PROGBITS, SHF_ALLOC },
	[SHN_TYPES] = { ".BTF", SHT_PROGBITS, 0 },
	[SHN_TYPES_EXT] = { ".BTF.ext", SHT_PROGBITS, 0 },
};

/* .BTF.ext, of which <linux/btf.h> has nothing. Offsets are from the header's end. */
struct types_ext {
	uint16_t magic;
	uint8_t version, flags;
	uint32_t header_len, functions_off, functions_len, lines_off, lines_len;
	struct {
		uint32_t record_size, section_name, count;
		struct bpf_func_info info;
	} functions;
	struct {
		uint32_t record_size, section_name, count;
		struct bpf_line_info info;
	} lines;
};

struct image {
	unsigned char *bytes;
	size_t size;
	Elf64_Shdr sections[SECTIONS];
	char strings[128];
	size_t strings_size;
};

static int no_memory(void)
{
	return sxsk_priv_fail(ENOMEM, "no memory to make an XDP program in");
}

/* ---- types ------------------------------------------------------------------------------------------ */

/* int name(struct xdp_md *ctx): its number, or -errno. Of the struct the kernel wants the name. */
static int add_function(struct btf *types, const char *name)
{
	const int number = btf__add_int(types, "int", 4, BTF_INT_SIGNED);
	const int context = btf__add_struct(types, "xdp_md", sizeof(struct xdp_md));
	const int pointer = btf__add_ptr(types, context);
	const int proto = btf__add_func_proto(types, number);
	const int err = btf__add_func_param(types, "ctx", pointer);

	return err ? err : btf__add_func(types, name, BTF_FUNC_GLOBAL, proto);
}

static struct btf *make_types(const char *name, uint32_t *ret_function)
{
	struct btf *types = btf__new_empty();
	const int function = types ? add_function(types, name) : -ENOMEM;

	if (function > 0) {
		*ret_function = (uint32_t)function;
		return types;
	}
	btf__free(types);
	return NULL;
}

/* ---- the file --------------------------------------------------------------------------------------- */

static uint32_t add_string(struct image *m, const char *s)
{
	const size_t at = m->strings_size, size = strlen(s) + 1;

	memcpy(m->strings + at, s, size);
	m->strings_size += size;
	return (uint32_t)at;
}

static void add_section(struct image *m, unsigned i, const void *what, size_t size)
{
	m->sections[i] = (Elf64_Shdr){ .sh_name = m->sections[i].sh_name,
				       .sh_type = sections[i].type,
				       .sh_flags = sections[i].flags,
				       .sh_offset = m->size,
				       .sh_size = size,
				       .sh_addralign = 8 };
	memcpy(m->bytes + m->size, what, size);
	m->size = (m->size + size + 7) & ~(size_t)7;
}

static void add_symbols(struct image *m, uint32_t name, size_t size)
{
	const Elf64_Sym symbols[] = {
		{ 0 },
		{ .st_name = name,
		  .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
		  .st_shndx = SHN_CODE,
		  .st_size = size },
	};

	add_section(m, SHN_SYMBOLS, symbols, sizeof(symbols));
	m->sections[SHN_SYMBOLS].sh_link = SHN_STRINGS;
	m->sections[SHN_SYMBOLS].sh_info = 1; /* the first that is global */
	m->sections[SHN_SYMBOLS].sh_entsize = sizeof(symbols[0]);
}

static void add_types(struct image *m, const void *types, uint32_t size, uint32_t section_name,
		      uint32_t function)
{
	const size_t header_len = offsetof(struct types_ext, functions);
	const struct types_ext ext = {
		.magic = 0xeb9f,
		.version = 1,
		.header_len = (uint32_t)header_len,
		.functions_len = sizeof(ext.functions),
		.lines_off = (uint32_t)(offsetof(struct types_ext, lines) - header_len),
		.lines_len = sizeof(ext.lines),
		.functions = { .record_size = sizeof(ext.functions.info),
			       .section_name = section_name,
			       .count = 1,
			       .info = { .insn_off = 0, .type_id = function } },
		.lines = { .record_size = sizeof(ext.lines.info),
			   .section_name = section_name,
			   .count = 1,
			   .info = { .insn_off = 0,
				     .file_name_off = section_name,
				     .line_off = section_name } },
	};

	add_section(m, SHN_TYPES, types, size);
	add_section(m, SHN_TYPES_EXT, &ext, sizeof(ext));
}

static void add_headers(struct image *m)
{
	const Elf64_Ehdr header = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
			     __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB,
			     EV_CURRENT },
		.e_type = ET_REL,
		.e_machine = EM_BPF,
		.e_version = EV_CURRENT,
		.e_shoff = m->size,
		.e_ehsize = sizeof(header),
		.e_shentsize = sizeof(m->sections[0]),
		.e_shnum = SECTIONS,
		.e_shstrndx = SHN_STRINGS,
	};

	memcpy(m->bytes, &header, sizeof(header));
	memcpy(m->bytes + m->size, m->sections, sizeof(m->sections));
	m->size += sizeof(m->sections);
}

static int make_image(struct image *m, const char *name, const struct bpf_insn insn[], uint32_t n)
{
	uint32_t function, types_size, symbol;
	struct btf *types = make_types(name, &function);
	const int section_name = types ? btf__add_str(types, SECTION) : -ENOMEM;
	const void *raw = section_name < 0 ? NULL : btf__raw_data(types, &types_size);

	*m = (struct image){ .size = sizeof(Elf64_Ehdr) };
	if (raw)
		m->bytes = calloc(1, 4096 + n * sizeof(*insn) + types_size);
	if (!m->bytes) {
		btf__free(types);
		return no_memory();
	}
	for (unsigned i = 0; i < SECTIONS; i++)
		m->sections[i].sh_name = add_string(m, sections[i].name);
	symbol = add_string(m, name);
	add_section(m, SHN_STRINGS, m->strings, m->strings_size);
	add_symbols(m, symbol, n * sizeof(*insn));
	add_section(m, SHN_CODE, insn, n * sizeof(*insn));
	add_section(m, SHN_LICENSE, LICENSE, sizeof(LICENSE));
	add_types(m, raw, types_size, (uint32_t)section_name, function);
	add_headers(m);
	btf__free(types);
	return 0;
}

int sxsk_priv_entry_open(struct bpf_object **ret_object, const char *name,
			 const struct bpf_insn insn[], uint32_t n)
{
	const struct bpf_object_open_opts opts = { .sz = sizeof(opts), .object_name = name };
	struct bpf_object *object;
	struct image m;
	int err = make_image(&m, name, insn, n);

	if (err)
		return err;
	object = bpf_object__open_mem(m.bytes, m.size, &opts);
	err = object ? 0 : errno;
	free(m.bytes);
	if (err)
		return sxsk_priv_fail(err, "libbpf does not take the XDP program: %s",
				      strerror(err));
	*ret_object = object;
	return 0;
}

/* ---- does the kernel load such programs? ------------------------------------------------------------- */

/* A program that passes all packets; as an extension, in the place of `target`. */
static int load_pass(const struct btf *types, uint32_t function, int target, uint32_t flags)
{
	const struct bpf_insn pass[] = { insn_op_value(BPF_MOV, BPF_REG_0, XDP_PASS),
					 { .code = BPF_JMP | BPF_EXIT } };
	const struct bpf_func_info info = { .insn_off = 0, .type_id = function };
	struct bpf_prog_load_opts opts = { .sz = sizeof(opts),
					   .prog_flags = flags,
					   .prog_btf_fd = (uint32_t)btf__fd(types),
					   .func_info = &info,
					   .func_info_cnt = 1,
					   .func_info_rec_size = sizeof(info) };

	if (target >= 0) {
		opts.attach_prog_fd = (uint32_t)target;
		opts.attach_btf_id = function;
	}
	return bpf_prog_load(target >= 0 ? BPF_PROG_TYPE_EXT : BPF_PROG_TYPE_XDP, "pass", LICENSE,
			     pass, sizeof(pass) / sizeof(pass[0]), &opts);
}

static int try_extension(const struct btf *types, uint32_t function, bool *ret_frags)
{
	int target = load_pass(types, function, -1, BPF_F_XDP_HAS_FRAGS), extension;

	*ret_frags = target >= 0;
	if (target == -EINVAL) /* before Linux 5.18 */
		target = load_pass(types, function, -1, 0);
	if (target < 0)
		return sxsk_priv_load_error(-target, "load an XDP program");
	extension = load_pass(types, function, target, 0);
	close(target);
	if (extension < 0)
		return sxsk_priv_fail(
			EOPNOTSUPP,
			"this kernel does not load programs of type EXT (freplace), which libxdp's "
			"dispatcher needs (%s): use SXSK_ATTACH_AUTO, on an interface without "
			"other XDP programs",
			strerror(-extension));
	close(extension);
	return 0;
}

int sxsk_priv_entry_possible(bool *ret_frags)
{
	uint32_t function, id = 0;
	struct btf *types;
	int err = bpf_prog_get_next_id(0, &id);

	if (err == -EPERM)
		return sxsk_priv_fail(EPERM,
				      "may not look at what is in libxdp's dispatcher: that needs "
				      "CAP_SYS_ADMIN (or root)");
	types = make_types("pass", &function);
	if (!types)
		return no_memory();
	err = btf__load_into_kernel(types);
	err = err ? sxsk_priv_load_error(-err, "tell the kernel an XDP program's types") :
		    try_extension(types, function, ret_frags);
	btf__free(types);
	return err;
}
