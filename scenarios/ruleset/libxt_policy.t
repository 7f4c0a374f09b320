:INPUT,FORWARD
*filter
-m policy --dir in --pol ipsec;=;OK
-m policy --dir in --pol ipsec --strict --reqid 1 --proto esp --mode tunnel --next --reqid 2;=;OK
-m policy --dir in --pol none;=;OK
