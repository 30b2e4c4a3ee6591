"""Pull jobs as objects of the cluster: ImagePullJob and ImageListPullJob, watched and run by the keeper."""
