:INPUT,FORWARD,OUTPUT
*filter
-m state --state NEW;=;OK
-m state --state ESTABLISHED,RELATED;-m state --state RELATED,ESTABLISHED;OK
-m state --state UNTRACKED,INVALID,NEW,ESTABLISHED,RELATED;-m state --state INVALID,NEW,RELATED,ESTABLISHED,UNTRACKED;OK
-m state --state established;-m state --state ESTABLISHED;OK
-m state ! --state NEW;=;OK
-m state --state NEW,NEW;-m state --state NEW;OK
-m state --state SNAT;;FAIL
-m state --state FOO;;FAIL
-m state --state NEW,;;FAIL
-m state --state "";;FAIL
-m state;;FAIL
-m state --state NEW --state RELATED;;FAIL
-m state --state NEW -m state --state RELATED;=;OK
! -m state --state NEW;;FAIL
--state NEW;;FAIL
