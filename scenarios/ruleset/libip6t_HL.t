:PREROUTING,POSTROUTING
*mangle
-j HL --hl-set 5;=;OK
-j HL --hl-inc 1;=;OK
-j HL --hl-dec 1;=;OK
-j HL --hl-dec 0;;FAIL
-j HL;;FAIL
-j TTL --ttl-set 1;;FAIL
