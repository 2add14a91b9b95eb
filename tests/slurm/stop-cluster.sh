#!/usr/bin/env bash
# Stops the daemons whose pid files are in $LAB, and no others. WIPE=1 removes $LAB too.
LAB=${LAB:?the folder of the cluster}; export SLURM_CONF=$LAB/slurm.conf
timeout 5 scancel -u "$(id -un)" 2>/dev/null; sleep .3
for d in slurmd-n* slurmctld slurmdbd mariadb munged; do
  for f in "$LAB"/$d.pid; do
    [ -s "$f" ] || continue; p=$(cat "$f"); kill "$p" 2>/dev/null || continue
    for _ in $(seq 300); do kill -0 "$p" 2>/dev/null || break; sleep .05; done
    kill -0 "$p" 2>/dev/null && kill -9 "$p"; rm -f "$f"
  done
done
[ "${WIPE:-0}" = 1 ] && rm -rf "$LAB"; exit 0
