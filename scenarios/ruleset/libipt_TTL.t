:PREROUTING,POSTROUTING
*mangle
-j TTL --ttl-set 5;=;OK
-j TTL --ttl-inc 1;=;OK
-j TTL --ttl-dec 1;=;OK
-j TTL --ttl-set 0;=;OK
-j TTL --ttl-inc 0;;FAIL
-j TTL --ttl-set 256;;FAIL
-j TTL --ttl-set 1 --ttl-dec 1;;FAIL
-j TTL;;FAIL
-j HL --hl-set 1;;FAIL
