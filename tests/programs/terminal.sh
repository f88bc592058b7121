#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# On a terminal the programs show a table, in place: what a terminal makes of their output is looked at here.
# Elsewhere, and on a terminal that cannot, there is a line each second. In-process links, no root.
. "$(dirname "${BASH_SOURCE[0]}")/net.sh"

cat >"$lib_tmp/terminal.py" <<'END'
"""terminal.py ROWS COLUMNS COMMAND...: run it in a pseudo-terminal, press Ctrl-C in its third second; print
what is on the screen at the end and its exit status."""
import fcntl, os, pty, re, select, signal, struct, sys, termios, time

rows, columns = int(sys.argv[1]), int(sys.argv[2])
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[3], sys.argv[3:])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
data, tables, end = b"", 0, time.monotonic() + 30
while time.monotonic() < end:
    if select.select([fd], [], [], 0.1)[0]:
        try:
            part = os.read(fd, 65536)
        except OSError:
            break
        if not part:
            break
        # Three lots of figures, then Ctrl-C: as the terminal's own key, so for all in the foreground.
        tables += len(re.findall(rb"depot|rx \d+ pps", part))
        data += part
        if tables >= 3:
            os.write(fd, b"\x03")
            tables = -1000000
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

# A screen of VT100's, as far as the programs may use it.
screen, row, column, wrap = [[" "] * columns], 0, 0, True
def put(char):
    global row, column
    if column >= columns:
        if not wrap:
            column = columns - 1
        else:
            row, column = row + 1, 0
    while len(screen) <= row:
        screen.append([" "] * columns)
    screen[row][column] = char
    column += 1
text = data.decode()
while text:
    code = re.match(r"\x1b\[(\??\d*)([A-Za-z])", text)
    char = text[0]
    text = text[code.end() if code else 1:]
    if code:
        what = code[1] + code[2]
        if code[2] == "A" and code[1].isdigit():
            row -= int(code[1])
            assert row >= 0 and len(screen) - row <= rows, "up beyond the screen"
        elif what == "K":
            for c in range(column, columns):
                screen[row][c] = " "
        elif what in ("?7l", "?7h"):
            wrap = what == "?7h"
        else:
            sys.exit(f"unknown: {code[0]!r}")
    elif char == "\n":
        row += 1
    elif char == "\r":
        column = 0
    else:
        put(char)
    while len(screen) <= row:
        screen.append([" "] * columns)
print("\n".join("".join(line).rstrip() for line in screen))
print(f"wrap {'on' if wrap else 'off'}, status {status}")
END

# on_terminal NAME ROWS COLUMNS COMMAND...: beside the others; what was on the screen is in a file of that name.
on_terminal()
{
	start timeout -k 5 40 python3 "$lib_tmp/terminal.py" "${@:2}" >"$lib_tmp/$1" 2>&1
}

# shown NAME
shown()
{
	screen=$lib_tmp/$1
	cat "$screen"
}

# lines PATTERN NUMBER: of the screen.
lines()
{
	local n

	n=$(grep -cE -- "$1" "$screen")
	[ "$n" = "$2" ] || { echo "$n lines, not $2: $1"; return 1; }
}

ended_well()
{
	[ "$(tail -n 1 "$screen")" = "wrap on, status 0" ] &&
		lines '^every frame accounted for$' 1
}

# One table, whatever the number of times it was drawn; and the account below it.
table()
{
	shown table && lines '^l2fwd-2link +queue +rx pps +Mbit/s +tx pps +Mbit/s +batch +drops$' 1 &&
		lines '^mem:a +0 +[0-9]{2,} +[0-9]+\.[0-9] +[0-9]{2,} +[0-9]+\.[0-9] +[0-9]+\.[0-9]%' 1 &&
		lines '^mem:b +0 +[0-9]{2,} ' 1 &&
		lines '^[0-9]+ s, 2 of 2 links  frames: total 65536, .*depot [0-9]{2,}, fill [0-9]{2,}' 1 &&
		lines 'pps drops' 0 && ended_well
}

# A table that is too high, or too wide, is cut off: it stays in place.
small()
{
	shown small && lines '^rxdrop +queue +rx pps' 1 && lines '^mem:[a-f] +0 +[0-9]+ ' 4 &&
		lines '^[0-9]+ s, 4 of 6 links  frames: total ' 1 && ended_well
}

dumb()
{
	shown dumb && lines ' queue +rx pps' 0 &&
		lines '^ +[0-9]+ s  mem:a:0 rx [0-9]+ pps tx 0 pps drops 0$' 3 && ended_well
}

on_terminal table 30 120 env TERM=xterm "$examples/l2fwd-2link" --link1-name mem:a --link2-name mem:b
on_terminal small 8 60 env TERM=xterm "$examples/rxdrop" --link mem:a --link mem:b --link mem:c \
	--link mem:d --link mem:e --link mem:f
on_terminal dumb 30 120 env TERM=dumb "$examples/rxdrop" --link mem:a
wait
# hang_up SECONDS: the terminal goes away under a program of ten seconds, which ends well after so many or more.
hang_up()
{
	local log=$lib_tmp/hang-up

	start "$examples/rxdrop" --link mem:a --duration 10 >"$log" 2>&1
	bounded 10 sh -c "until grep -q '^rxdrop: on mem:a' $log; do sleep 0.05; done"
	kill -HUP "$started"
	wait "$started" || return 1
	cat "$log"
	awk -v least="$1" '/^rxdrop: [0-9.]+ s$/ { well = $2 >= least && (least > 0 || $2 < 10) } END { exit !well }' "$log" &&
		grep -qx 'every frame accounted for' "$log"
}

# As nohup does it.
hang_up_in_vain()
(
	trap '' HUP
	hang_up 10
)

check "a table in place" table
check "a table cut to a small terminal" small
check "a line each second on a terminal that cannot go up" dumb
check "the terminal's end is the program's" hang_up 0
check "but not with nohup" hang_up_in_vain
finish
