#!/bin/sh
# What a real systemd, earlyoom and systemd-oomd do to runs; a service in the guest, whose output goes to the console.
exec >/dev/ttyS0 2>&1
export HOME=/root PATH=/usr/sbin:/usr/bin LC_ALL=C.UTF-8
said() { echo "@@$1 code $2"; tr -d '\n' < "/tmp/$1/runs/latest/run.json" | sed "s/^/@@$1 json /"; echo; }
ci() { state=$1; shift; echo "drydock --project /project --state /tmp/$state ci $* --no-progress"; }
dangers() { grep '^danger' | sed "s/^/@@$1 /"; }
service="systemd-run --wait --pipe --quiet --collect -p User=captain -p MemoryMax=200M -p MemorySwapMax=0"
echo "@@up $(cut -d' ' -f1 /proc/uptime)"

useradd --create-home captain
loginctl enable-linger captain
chown --recursive captain /project
until [ -S "/run/user/$(id -u captain)/systemd/private" ]; do sleep 0.2; done
as() { runuser --user captain -- env HOME=/home/captain XDG_RUNTIME_DIR="/run/user/$(id -u captain)" "$@"; }

# Cgroups: each way to get one.
systemd-run --scope --quiet -p Delegate=yes $(ci scope limited calm); said scope $?
systemd-run --scope --quiet $(ci undelegated limited calm); said undelegated $?
as $(ci user limited calm); said user $?
as systemd-run --user --scope --quiet $(ci user-scope limited calm); said user-scope $?
as systemd-run --user --wait --pipe --quiet -p Slice=ci.slice -p Delegate=yes $(ci user-slice limited calm); said user-slice $?

# A service of a user who may not make cgroups, as a self-hosted runner is one.
$service --unit=runner $(ci plan-runner plan patient) | dangers plan-runner
$service --unit=runner $(ci runner hog patient); said runner $?
$service --unit=runner -p OOMPolicy=continue $(ci continue hog calm); said continue $?

echo 'EARLYOOM_ARGS="-r 0 -m 45 -s 100"' > /etc/default/earlyoom
systemctl unmask --quiet earlyoom && systemctl start earlyoom
systemd-run --scope --quiet -p Delegate=yes $(ci earlyoom eater); said earlyoom $?
systemd-run --scope --quiet -p Delegate=yes $(ci earlyoom-none eater --containment none); said earlyoom-none $?
systemctl stop earlyoom

mkdir -p /etc/systemd/oomd.conf.d
printf '[OOM]\nDefaultMemoryPressureDurationSec=1s\n' > /etc/systemd/oomd.conf.d/soon.conf
printf '[Slice]\nManagedOOMMemoryPressure=kill\nManagedOOMMemoryPressureLimit=5%%\nMemoryHigh=100M\n' > /run/systemd/system/press.slice
systemctl daemon-reload && systemctl unmask --quiet systemd-oomd && systemctl start systemd-oomd
systemd-run --scope --quiet --slice=press.slice -p Delegate=yes $(ci oomd crawl); said oomd $?
systemd-run --scope --quiet --slice=press.slice $(ci oomd-none crawl --containment none)
systemctl stop systemd-oomd
$(ci oomd-none --resume); said oomd-none $?

echo "@@exit 0 $(cut -d' ' -f1 /proc/uptime)"
sync
systemctl poweroff --force --force
