folder=.hpo-workers/$(uname -n)
pid=$(cat "$folder/pid" 2>/dev/null)
runs() { [ -n "$pid" ] && tr '\0' ' ' 2>/dev/null < "/proc/$pid/cmdline" | grep -q ' start-workers local'; }
if ! runs; then
    echo "no workers run here"
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
