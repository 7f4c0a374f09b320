:INPUT,FORWARD,OUTPUT
*filter
-m ttl --ttl-eq 64;=;OK
-m ttl --ttl 64;-m ttl --ttl-eq 64;OK
-m ttl ! --ttl-eq 64;=;OK
-m ttl ! --ttl 64;-m ttl ! --ttl-eq 64;OK
-m ttl --ttl-lt 5;=;OK
-m ttl --ttl-gt 5;=;OK
-m ttl --ttl-eq 0;=;OK
-m ttl --ttl-eq 256;;FAIL
-m ttl --ttl-eq 1 --ttl-gt 3;;FAIL
-m ttl ! --ttl-gt 5;;FAIL
-m ttl;;FAIL
