#!/bin/sh
# A browser in the network namespace whose file BROWSER_NETNS names: playwright-core starts this as the browser.
# BROWSER_PROGRAM may be several words, such as "taskset -c 0 chromium".
# shellcheck disable=SC2086
exec nsenter --net="$BROWSER_NETNS" -- $BROWSER_PROGRAM "$@"
