module slipway.dev/lab/binaries/pause

go 1.26
