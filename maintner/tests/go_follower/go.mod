module gofollower

go 1.19
