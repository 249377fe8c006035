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
if runs; then
    echo "workers are already running here (process $pid)" >&2
    exit 2
fi
umask 077
mkdir -p "$folder" || exit 1
chmod 700 "$folder" || exit 1
[ ! -f "$folder/log" ] || mv -f "$folder/log" "$folder/log.before"
export HPO_STORAGE='postgresql+psycopg2://me:***@db.example.org/studies'
export PGPASSWORD='it'"'"'s'
nohup /opt/hpo/bin/hpo start-workers local first 'second one' --workers-per-device=2 --lease=30 --forever > "$folder/log" 2>&1 < /dev/null &
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
