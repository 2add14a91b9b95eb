#!/usr/bin/env bash
# A one-host SLURM cluster without systemd, run as root, on loopback; all of its files are in $LAB.
#   LAB=FOLDER NODES=2 CPUS=4 MEM=64000 ACCT=1 tests/slurm/start-cluster.sh ; . FOLDER/env
# apt: munge slurmctld slurmd slurm-client   (+ slurmdbd mariadb-server when ACCT=1, which sacct needs)
set -euo pipefail
LAB=${LAB:?the folder of the cluster} NODES=${NODES:-2} CPUS=${CPUS:-4} MEM=${MEM:-64000} ACCT=${ACCT:-1} BASE=${BASE:-16817}
H=$(hostname -s) PATH=$PATH:/usr/sbin
up() { [ -s "$LAB/$1.pid" ] && kill -0 "$(cat "$LAB/$1.pid")" 2>/dev/null; }      # is daemon $1 ours and alive?
wait_for() { for _ in $(seq 2400); do "$@" >/dev/null 2>&1 && return; sleep .05; done; echo "timeout: $*" >&2; return 1; }
mkdir -p "$LAB"/{state,spool,db,log}; chmod 755 "$LAB"
export SLURM_CONF=$LAB/slurm.conf MYSQL_UNIX_PORT=$LAB/mysql.sock
echo "export SLURM_CONF=$SLURM_CONF" > "$LAB/env"

cat > "$SLURM_CONF" <<C
ClusterName=lab
SlurmctldHost=$H(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$LAB/munge.sock
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort=$((BASE))
StateSaveLocation=$LAB/state
SlurmdSpoolDir=$LAB/spool/%n
SlurmctldPidFile=$LAB/slurmctld.pid
SlurmdPidFile=$LAB/slurmd-%n.pid
SlurmctldLogFile=$LAB/log/slurmctld.log
SlurmdLogFile=$LAB/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
ReturnToService=2
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SlurmdTimeout=15
JobCompType=jobcomp/filetxt
JobCompLoc=$LAB/log/jobcomp.txt
DefMemPerNode=1000
KillWait=5
OverTimeLimit=0
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
NodeName=n[1-$NODES] NodeHostname=$H NodeAddr=127.0.0.1 Port=[$((BASE+10))-$((BASE+9+NODES))] CPUs=$CPUS RealMemory=$MEM State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=${GRACE:-30}
PartitionName=high Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
C
if [ "$ACCT" = 1 ]; then cat >> "$SLURM_CONF" <<C
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$((BASE+1))
AccountingStoragePass=$LAB/munge.sock
C
(umask 077; cat > "$LAB/slurmdbd.conf" <<C
DbdHost=$H
DbdAddr=127.0.0.1
DbdPort=$((BASE+1))
AuthType=auth/munge
AuthInfo=socket=$LAB/munge.sock
SlurmUser=root
PidFile=$LAB/slurmdbd.pid
LogFile=$LAB/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_acct_db
CommunicationParameters=NoInAddrAny
C
); fi

[ -s "$LAB/munge.key" ] || (umask 077; head -c 128 /dev/urandom > "$LAB/munge.key")
up munged || munged --force --key-file="$LAB/munge.key" --socket="$LAB/munge.sock" --pid-file="$LAB/munged.pid" \
                    --log-file="$LAB/log/munged.log" --seed-file="$LAB/munge.seed" 2>>"$LAB/log/munged.err"
if [ "$ACCT" = 1 ]; then
  up mariadb || { [ -d "$LAB/db/mysql" ] || mariadb-install-db --no-defaults --datadir="$LAB/db" --skip-test-db --user=root --auth-root-authentication-method=normal >"$LAB/log/installdb.log" 2>&1
    setsid mariadbd --no-defaults --user=root --datadir="$LAB/db" --socket="$MYSQL_UNIX_PORT" --pid-file="$LAB/mariadb.pid" \
      --skip-networking --skip-grant-tables >"$LAB/log/mariadb.log" 2>&1 </dev/null & }
  wait_for mariadb-admin --no-defaults --socket="$MYSQL_UNIX_PORT" ping
  up slurmdbd || SLURM_CONF=$LAB/slurm.conf slurmdbd
  wait_for sacctmgr -n show cluster
fi
up slurmctld || slurmctld -i
wait_for scontrol ping
for i in $(seq "$NODES"); do mkdir -p "$LAB/spool/n$i"; up "slurmd-n$i" || slurmd -N "n$i"; done
all_idle() { [ "$(sinfo -h -N -p debug -t idle,mix,alloc -o %N | sort -u | wc -l)" = "$NODES" ]; }
wait_for all_idle
sinfo
