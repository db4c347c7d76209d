#!/usr/bin/env bash
# Whether the front end greets: the HEALTHCHECK of its image. A store that is
# away is no fault of the front end, which answers 451 meanwhile.
set -euo pipefail
exec 3<>"/dev/tcp/127.0.0.1/${RESTANTE_SMTP_LISTEN##*:}"
read -rt 5 reply <&3
printf 'QUIT\r\n' >&3
echo "${reply%$'\r'}"
[[ $reply == 220* ]]
