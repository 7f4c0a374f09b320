:INPUT
*filter
-p ah -m ah --ahspi 1;=;OK
-p ah --ahspi 1:5;-p ah -m ah --ahspi 1:5;OK
-m ah --ahspi 1;;FAIL
-p tcp -m osf --genre "Linux";-p tcp -m osf --genre Linux;OK
-p tcp -m osf ! --genre "Linux" --ttl 1 --log 1;-p tcp -m osf ! --genre Linux --ttl 1 --log 1;OK
-m osf --genre "Linux";;FAIL
-m realm --realm 0x1;=;OK
