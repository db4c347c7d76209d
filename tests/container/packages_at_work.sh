#!/bin/sh
# In a bare Debian with our packages: starts both daemons as their units do, without
# systemd, sends mail through both, and stops them.
set -eu

wait_for() {
  for _ in $(seq 600); do
    if grep -q "$2" "$1"; then return 0; fi
    sleep 0.1
  done
  echo "$1 never said: $2" >&2
  cat "$1" >&2
  exit 1
}
# as USER UNIT LOG: what the unit's ExecStart says.
as() {
  command=$(sed -n 's/^ExecStart=//p' "/lib/systemd/system/$2.service")
  # shellcheck disable=SC2086
  setpriv --reuid "$1" --regid "$1" --clear-groups --no-new-privs $command >"$3" 2>&1 &
}

# What StateDirectory= does.
install -d -o restante -g restante -m 0700 /var/lib/restante
as restante restante-store /tmp/store.log
store=$!
wait_for /tmp/store.log '^listening grpc 127.0.0.1:8354'
as restante-smtp restante-smtp /tmp/smtp.log
smtp=$!
wait_for /tmp/smtp.log '^listening lmtp 127.0.0.1:2424'

restante domain create example.org
restante mailbox create alice@example.org --bytes 1M
printf 'Subject: by the command line\r\n\r\nhello\r\n' |
  restante deliver --from sender@example.net --to alice@example.org
bash -c '
  exec 3<>/dev/tcp/127.0.0.1/2525
  read -r greeting <&3
  while read -r line; do
    printf "%s\r\n" "$line" >&3
    if [ "$line" != "Subject: by SMTP" ] && [ -n "$line" ] && [ "$line" != hello ]; then read -r reply <&3; fi
  done <<TEXT
HELO client.example.net
MAIL FROM:<sender@example.net>
RCPT TO:<alice@example.org>
DATA
Subject: by SMTP

hello
.
QUIT
TEXT
'
restante --output json message list alice@example.org | wc -l | grep -qx 2
kill "$smtp" && wait "$smtp"
kill "$store" && wait "$store"
echo "two messages, and a clean end"
