:INPUT,FORWARD
*filter
-m physdev --physdev-in vnet0;=;OK
-m physdev --physdev-in vnet+;=;OK
-m physdev ! --physdev-in vnet0;=;OK
-m physdev --physdev-out vnet0 --physdev-is-bridged;=;OK
-m physdev ! --physdev-out vnet0 --physdev-in vnet1 --physdev-is-bridged;-m physdev --physdev-in vnet1 ! --physdev-out vnet0 --physdev-is-bridged;OK
-m physdev --physdev-is-in;=;OK
-m physdev ! --physdev-is-in;=;OK
-m physdev --physdev-is-out;=;OK
-m physdev --physdev-is-bridged;=;OK
-m physdev ! --physdev-is-bridged;=;OK
-m physdev --physdev-is-in --physdev-is-out --physdev-in a --physdev-out b --physdev-is-bridged;-m physdev --physdev-is-in --physdev-in a --physdev-is-out --physdev-out b --physdev-is-bridged;OK
-m physdev --physdev-in 1234567890123456;;FAIL
-m physdev --physdev-in a --physdev-in b;;FAIL
-m physdev;;FAIL
