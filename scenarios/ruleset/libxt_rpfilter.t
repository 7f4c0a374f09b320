:PREROUTING
*raw
-m rpfilter;=;OK
-m rpfilter --invert;=;OK
-m rpfilter --loose --validmark --accept-local --invert;=;OK
-m socket;=;OK
-m socket --transparent --nowildcard;=;OK
-m socket --restore-skmark;=;OK
-j TRACE;=;OK
-p tcp -m socket --transparent -j MARK --set-xmark 0x1/0xffffffff;=;OK
