# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# To be sourced after tests/lib.sh, by whoever wants commands run under another kernel:
#
#   vm_kernel trixie-backports 6.18          fetched, or in the cache: see tests/vm/kernel
#   vm_guest NAME                            a new guest: the other functions are about the last one
#   vm_add build/examples/l2fwd-1link ...    programs, with the libraries that they need
#   vm_place /usr/lib/FILE ...               other files, with their paths
#   vm_command NAME SECONDS COMMAND...       what is to be run, one after the other
#   vm_nic hubport,hubid=0                   one more interface, and what it is connected to
#   vm_boot 120                              run it all, bounded, in the background
#   wait
#   vm_ran && vm_output NAME && vm_status NAME   what came of a command; no status: it was not reached
#
# Everything is emulated (TCG): slow, but the same anywhere; and two processors by one thread: by two, one
# now and then ran into the breakpoint of code that the other had finished patching (XDP programs that come
# and go, Linux 7.3 in QEMU 7.2). Without cmpxchg16b, whose flags that QEMU now and then gets wrong.
# vm_release is the kernel that ran.
vm_dir=$lib_root/tests/vm
# Zero-copy on virtio-net needs the DMA interface, and packets as they are: no offloads.
vm_nic_options=iommu_platform=on,disable-legacy=on,csum=off,gso=off,guest_csum=off,guest_tso4=off
vm_nic_options+=,guest_tso6=off,guest_ecn=off,guest_ufo=off,host_tso4=off,host_tso6=off

# vm_kernel SUITE SERIES
vm_kernel()
{
	bounded 600 "$vm_dir/kernel" "$1" "$2" >"$lib_tmp/kernel.out" 2>"$lib_tmp/kernel.log" &&
		vm_kernel=$(<"$lib_tmp/kernel.out") && return
	sed 's/^/    /' "$lib_tmp/kernel.log"
	return 1
}

# vm_guest NAME: what it has lies in $vm_tree, what it says comes to $vm_tree.log.
vm_guest()
{
	vm_tree=$lib_tmp/guest-$1
	vm_nics=()
	rm -rf "$vm_tree" "$vm_tree".*
	mkdir -p "$vm_tree/bin" "$vm_tree/lib" && cp /bin/busybox "$vm_tree/bin/" &&
		cp "$vm_dir/guest" "$vm_tree/init" && : >"$vm_tree/commands" &&
		vm_add /bin/sh "$(command -v ip)" "$(command -v nsenter)"
}

# vm_add PROGRAM...: to /bin; the libraries to /lib, wherever they are here, but for the loader.
vm_add()
{
	local file

	cp -L "$@" "$vm_tree/bin/" || return 1
	for file in $(ldd "$@" | grep -o '/[^ ]*' | grep -v ':$' | sort -u); do
		case $file in
		*/ld-linux*) cp -L --parents "$file" "$vm_tree" ;;
		*) cp -Lu "$file" "$vm_tree/lib/" ;;
		esac || return 1
	done
}

# vm_place FILE...: what has to be where it is here.
vm_place()
{
	cp -L --parents "$@" "$vm_tree"
}

# vm_command NAME SECONDS COMMAND...: a line of shell; NAME without spaces.
vm_command()
{
	echo "$*" >>"$vm_tree/commands"
}

# vm_nic BACKEND [OPTION...]: QEMU's network backend, and more options of the device.
vm_nic()
{
	local id=n${#vm_nics[@]}

	vm_nics+=(-netdev "$1,id=$id" -device "virtio-net-pci,netdev=$id,$vm_nic_options${2-}")
}

vm_run()
{
	trap 'lib_end_jobs; exit 143' TERM
	rm -rf "$vm_tree/modules"
	cp -r "$vm_kernel/modules" "$vm_tree/" || return 1
	(cd "$vm_tree" && find . -print0 | cpio -0 --quiet -o -H newc) >"$vm_tree.initrd" || return 1
	bounded "$1" "${@:2}" qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot \
		-accel tcg,thread=single -cpu max,la57=off,cx16=off -smp 2 -m 1024 \
		-kernel "$vm_kernel/vmlinuz" -initrd "$vm_tree.initrd" \
		-append "console=ttyS0 loglevel=4 panic=-1 random.trust_cpu=on mitigations=off" \
		-serial "file:$vm_tree.console" -serial "file:$vm_tree.log" "${vm_nics[@]}"
	echo "QEMU's exit status $?"
}

# vm_boot SECONDS [WRAPPER...]: WRAPPER goes before QEMU's command.
vm_boot()
{
	vm_run "$@" >"$vm_tree.qemu" 2>&1 &
}

# The guest got to its first command; else say what is known.
vm_ran()
{
	vm_release=$(sed -n '1s/^kernel //p' "$vm_tree.log")
	[ -z "$vm_release" ] || return 0
	tail -n 20 "$vm_tree.qemu" "$vm_tree.console"
	return 1
}

# vm_output NAME
vm_output()
{
	sed -n "/^#begin $1\$/,/^#end $1 /{/^#begin $1\$/d; /^#end $1 /d; p}" "$vm_tree.log"
}

# vm_status NAME
vm_status()
{
	sed -n "s/^#end $1 \([0-9]*\)\$/\1/p" "$vm_tree.log"
}
