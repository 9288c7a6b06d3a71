module gopeer

go 1.22
