WITH taken AS (
    SELECT * FROM unnest($4::bigint[], $5::bigint[]) AS taken (pack_id, credits)
), charge AS (
    INSERT INTO charges (user_uuid, generation_uuid, trans_type, credits)
    VALUES ($1, $2, 'anime_generation', $3)
    RETURNING id
), updated AS (
    UPDATE packs SET remaining = packs.remaining - taken.credits
    FROM taken WHERE packs.id = taken.pack_id
)
INSERT INTO allocations (charge_id, pack_id, credits)
SELECT charge.id, taken.pack_id, taken.credits FROM charge, taken
