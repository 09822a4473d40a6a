"""aws_call.py URL CALL ARGUMENTS: one call of IAM through boto3, as whoever the environment says; prints the answer as JSON."""

import json
import sys

import boto3

url, call, arguments = sys.argv[1:]
iam = boto3.client("iam", endpoint_url=url, region_name="us-east-1")
print(json.dumps(getattr(iam, call)(**json.loads(arguments)), default=str))
