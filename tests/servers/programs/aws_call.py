"""aws_call.py URL [SERVICE:]CALL ARGUMENTS: one call (of IAM) through boto3, as whoever the environment says; prints the answer as JSON."""

import json
import sys

import boto3

url, call, arguments = sys.argv[1:]
service, _, call = call.rpartition(":")
client = boto3.client(service or "iam", endpoint_url=url, region_name="us-east-1")
print(json.dumps(getattr(client, call)(**json.loads(arguments)), default=str))
