module slipway.dev/lab/binaries/compose-tools

go 1.26.0
