"""aws_seed.py URL: makes an IAM administrator with three calls and prints its access key id and secret."""

import json
import sys

import boto3

iam = boto3.client("iam", endpoint_url=sys.argv[1], region_name="us-east-1", aws_access_key_id="any", aws_secret_access_key="any")
iam.create_user(UserName="administrator")
policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
iam.put_user_policy(UserName="administrator", PolicyName="all", PolicyDocument=json.dumps(policy))
key = iam.create_access_key(UserName="administrator")["AccessKey"]
print(key["AccessKeyId"], key["SecretAccessKey"])
