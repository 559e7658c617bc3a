# The region of the cluster and of Bedrock; ../model-backends.yaml names it, too.
region = "us-west-2"
