SELECT FROM wallets WHERE user_uuid = $1 FOR UPDATE
