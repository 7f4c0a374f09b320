:OUTPUT
*filter
-m owner --uid-owner 0;=;OK
-m owner --uid-owner 0-10;=;OK
-m owner ! --uid-owner 0-10 --gid-owner 5;=;OK
-m owner --gid-owner 100 --suppl-groups;=;OK
-m owner ! --gid-owner 0;=;OK
-m owner --socket-exists;=;OK
-m owner ! --socket-exists;=;OK
