:INPUT,FORWARD,OUTPUT
*filter
-m hashlimit --hashlimit-upto 1/sec --hashlimit-burst 5 --hashlimit-mode srcip --hashlimit-name ssh1;=;OK
-m hashlimit --hashlimit-above 512kb/s --hashlimit-burst 1mb --hashlimit-name bytes1;=;OK
-m hashlimit --hashlimit 1/sec --hashlimit-burst 5 --hashlimit-mode srcip --hashlimit-name ssh2;-m hashlimit --hashlimit-upto 1/sec --hashlimit-burst 5 --hashlimit-mode srcip --hashlimit-name ssh2;OK
-m hashlimit --hashlimit-upto 1/sec --hashlimit-burst 5 --hashlimit-mode srcip --hashlimit-name foo --hashlimit-htable-size 64 --hashlimit-htable-max 100 --hashlimit-htable-gcinterval 60000 --hashlimit-htable-expire 2000 --hashlimit-srcmask 24;=;OK
