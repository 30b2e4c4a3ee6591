module kip.local/hack/programs/pause

go 1.26
