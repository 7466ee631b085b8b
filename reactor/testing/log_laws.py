LAWS=()
