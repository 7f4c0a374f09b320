:INPUT,OUTPUT
*filter
-m cgroup --cgroup 1;=;OK
-m cgroup ! --cgroup 5;=;OK
