#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Install the Debian packages that a group of tasks needs. What is there already costs no network
# and needs no root.
#
#   tests/packages.sh GROUP...      groups: build demo test bench peers ci plot vm fuzz
set -u

declare -A packages=(
	[build]="gcc libc6-dev meson ninja-build pkg-config libbpf-dev libxdp-dev libpcap-dev"
	[demo]="iproute2 ethtool iputils-ping iperf3"
	[test]="libcriterion-dev libpcap-dev g++ clang binutils python3 iproute2 ethtool bpftool iputils-ping procps iperf3 curl tcpdump tcpreplay tshark"
	[bench]="valgrind binutils python3 iproute2 procps"
	[peers]="dpdk-dev libdpdk-dev libavutil-dev gnuplot-nox"
	[ci]="clang-format"
	[fuzz]="clang libclang-rt-14-dev"
	[plot]="gnuplot-nox"
	[vm]="qemu-system-x86 busybox-static cpio xz-utils debian-archive-keyring iproute2"
)

die()
{
	echo "packages.sh: $*" >&2
	exit 1
}

installed()
{
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Mirrors have bad minutes.
retry()
{
	local try
	for try in 1 2 3; do
		"$@" && return 0
		echo "packages.sh: '$*' failed (try $try of 3)" >&2
		sleep $((try * 5))
	done
	return 1
}

[ $# -gt 0 ] || die "which groups? One or more of: ${!packages[*]}"
wanted=()
for group; do
	[ -n "${packages[$group]-}" ] || die "no group '$group'; there are: ${!packages[*]}"
	read -r -a names <<<"${packages[$group]}"
	wanted+=("${names[@]}")
done

command -v dpkg-query >/dev/null ||
	die "not a Debian system: install the equivalents of these packages by hand: ${wanted[*]}"
missing=()
for name in "${wanted[@]}"; do
	installed "$name" || missing+=("$name")
done
[ ${#missing[@]} -gt 0 ] || exit 0

[ "$(id -u)" = 0 ] || die "these packages are missing, run this as root to install them: ${missing[*]}"
command -v apt-get >/dev/null || die "these packages are missing, and there is no apt-get: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt=(apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
echo "packages.sh: installing ${missing[*]}" >&2
retry "${apt[@]}" update </dev/null >&2 || die "apt-get update fails; is there a network?"
retry "${apt[@]}" install --no-install-recommends "${missing[@]}" </dev/null >&2 ||
	die "apt-get cannot install: ${missing[*]}"
