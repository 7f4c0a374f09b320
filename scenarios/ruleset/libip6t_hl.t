:INPUT,FORWARD,OUTPUT
*filter
-m hl --hl-eq 64;=;OK
-m hl ! --hl-eq 64;=;OK
-m hl --hl-lt 5;=;OK
-m hl --hl-gt 5;=;OK
-m hl --hl-eq 256;;FAIL
-m hl --hl 64;-m hl --hl-eq 64;OK
-m hl;;FAIL
-m ttl --ttl-eq 1;;FAIL
