"""Workers on machines over ssh, through the user's own configuration of it.

One script goes to a shell there, on its standard input: a command line would show the storage's password. It starts
the node's launcher so that it outlives the connection, and notes its process and what it says in a folder.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hpo.errors import UserError
from hpo.launch.request import WorkerRequest, plain_path, words

FOLDER = ".hpo-workers"
OPTIONS = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=15")
_NO_HOST = re.compile(r"""[\s'"`$;&<>|(){}*?!]""")

# `uname -n`: home folders may be shared. The command line of a process tells whether a number noted before a restart
# of the machine still means the launcher.
_BEGIN = """\
base={folder}
folder=$base/$(uname -n)
for place in "$base" "$folder"; do
    # On a shared disk another user may have put something there that leads to files of ours.
    if [ -L "$place" ]; then
        echo "$place is a link: name the folder itself with --folder" >&2
        exit 2
    fi
    if [ -e "$place" ] && ! [ -O "$place" ]; then
        echo "$place belongs to another user" >&2
        exit 2
    fi
done
pid=$(cat "$folder/pid" 2>/dev/null)
runs() {{ [ -n "$pid" ] && tr '\\0' ' ' 2>/dev/null < "/proc/$pid/cmdline" | grep -q ' start-workers local'; }}
"""

_START = """\
if runs; then
    echo "workers are already running here (process $pid)" >&2
    exit 2
fi
umask 077
mkdir -p "$folder" || exit 1
chmod 700 "$folder" || exit 1
[ ! -f "$folder/log" ] || mv -f "$folder/log" "$folder/log.before"
{environment}nohup {command} > "$folder/log" 2>&1 < /dev/null &
pid=$!
echo "$pid" > "$folder/pid"
for _ in $(seq 600); do
    if grep -q '^workers: ' "$folder/log"; then
        echo "$(grep '^workers: ' "$folder/log"); log: $folder/log"
        exit 0
    fi
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
done
cat "$folder/log" >&2
wait "$pid"
"""

_STOP = """\
if ! runs; then
    echo "no workers are running here"
    exit 0
fi
kill -TERM "$pid"
for _ in $(seq {tenths}); do
    if ! runs; then
        rm -f "$folder/pid"
        echo "stopped; log: $folder/log"
        exit 0
    fi
    sleep 0.1
done
echo "process $pid was asked to stop and has not ended yet" >&2
exit 1
"""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a host answered."""

    host: str
    code: int
    """The exit code of the script; 255 if ssh itself failed."""
    said: str


def start_script(request: WorkerRequest, environment: Mapping[str, str], hpo: str = "hpo", folder: str = FOLDER) -> str:
    """What a shell on each host is to run; `hpo` is the command's path there, `folder` is below the home folder.

    Raises:
        UserError: one of the two is not a path.
    """
    settings = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())
    command = shlex.join([plain_path("--hpo", hpo), *request.arguments()])
    return _begin(folder) + _START.format(environment=settings, command=command)


def stop_script(seconds: float, folder: str = FOLDER) -> str:
    """What lets the workers of a host save and go; it waits for at most `seconds`.

    Raises:
        UserError: the folder is not a path.
    """
    return _begin(folder) + _STOP.format(tenths=round(10 * seconds))


def _begin(folder: str) -> str:
    return _BEGIN.format(folder=shlex.quote(plain_path("--folder", folder)))


def hosts_of(text: str) -> list[str]:
    """The hosts of a file: one a line, `#` begins a comment."""
    return [host for line in text.splitlines() if (host := line.partition("#")[0].strip())]


def checked(hosts: Sequence[str]) -> list[str]:
    """Each host once.

    Raises:
        UserError: one is not a host: an option of ssh, or what a ProxyCommand's shell would run.
    """
    for host in hosts:
        dashes = any(part.startswith("-") for part in host.split("@"))
        if not host or dashes or not host.isprintable() or _NO_HOST.search(host):
            raise UserError(
                f"{host!r} is not a host", hint="give a name from your ssh configuration, HOST or USER@HOST"
            )
    return list(dict.fromkeys(hosts))


def submit(hosts: Sequence[str], script: str, ssh: str = "ssh") -> Iterator[Reply]:
    """Run the script on all hosts at once.

    Raises:
        UserError: there is no ssh here.
    """
    command = [*words("--ssh", ssh), *OPTIONS]
    try:
        started = [
            subprocess.Popen(
                [*command, host, "sh -s"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
            )
            for host in hosts
        ]
    except OSError as error:
        raise UserError(
            f"{command[0]}: {error.strerror}", hint="install an ssh client, or give its path: --ssh"
        ) from None
    for process in started:
        assert process.stdin is not None
        try:
            process.stdin.write(script)
            process.stdin.flush()
        except BrokenPipeError:  # ssh says why
            pass
    for host, process in zip(hosts, started, strict=True):
        said, _ = process.communicate()
        yield Reply(host, process.returncode, said.strip())
