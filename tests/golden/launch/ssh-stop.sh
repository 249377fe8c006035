base=.hpo-workers
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
runs() { [ -n "$pid" ] && tr '\0' ' ' 2>/dev/null < "/proc/$pid/cmdline" | grep -q ' start-workers local'; }
if ! runs; then
    echo "no workers are running here"
    exit 0
fi
kill -TERM "$pid"
for _ in $(seq 600); do
    if ! runs; then
        rm -f "$folder/pid"
        echo "stopped; log: $folder/log"
        exit 0
    fi
    sleep 0.1
done
echo "process $pid was asked to stop and has not ended yet" >&2
exit 1
